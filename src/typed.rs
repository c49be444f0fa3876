//! What programs are written with: events as their own types, aggregates, projections. All of it uses the store as any
//! program could; none of it is needed to use the store.
