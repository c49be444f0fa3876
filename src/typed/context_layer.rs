//! Keeps spans' fields that belong into a context, so that [`Context::current`] finds them whatever the subscriber is.

use std::fmt;

use tracing::{
    Dispatch, Subscriber, dispatcher,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{layer, registry::LookupSpan};

use crate::typed::context::Context;

/// A layer for `tracing_subscriber`, by which [`Context::current`] knows the fields of spans.
///
/// ```
/// use annals::{Context, ContextLayer};
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let subscriber = tracing_subscriber::registry().with(ContextLayer::new());
/// tracing::subscriber::with_default(subscriber, || {
///     let request = tracing::info_span!("request", trace_id = "4bf92f", user_id = "ann");
///     request.in_scope(|| {
///         let metadata = Context::current().metadata();
///         assert_eq!(metadata.correlation_id.as_deref(), Some("4bf92f"));
///         assert_eq!(metadata.user_id.as_deref(), Some("ann"));
///     });
/// });
/// ```
#[derive(Default)]
pub struct ContextLayer {
    /// Reads the current span's fields. It is made where the subscriber's type is known, so the layer needs no
    /// parameter, and can be found behind any subscriber.
    read: Option<fn(&Dispatch) -> Option<SpanFields>>,
}

impl ContextLayer {
    /// The layer; any number of other layers may stand beside it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Debug for ContextLayer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ContextLayer").finish_non_exhaustive()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> layer::Layer<S> for ContextLayer {
    fn on_layer(&mut self, _: &mut S) {
        self.read = Some(read::<S>);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: layer::Context<'_, S>) {
        let mut fields = SpanFields::default();
        attributes.record(&mut fields);
        keep(fields, id, &context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: layer::Context<'_, S>) {
        let mut fields = SpanFields::default();
        values.record(&mut fields);
        keep(fields, id, &context);
    }
}

/// Adds fields to those that the span has.
fn keep<S: Subscriber + for<'a> LookupSpan<'a>>(
    mut fields: SpanFields,
    id: &Id,
    context: &layer::Context<'_, S>,
) {
    let Some(span) = context.span(id).filter(|_| !fields.is_empty()) else { return };
    let mut extensions = span.extensions_mut();
    if let Some(earlier) = extensions.get_mut::<SpanFields>() {
        fields.fill_from(earlier);
    }
    extensions.replace(fields);
}

impl Context {
    /// The context of the current `tracing` span and those around it, the inner ones first: their fields
    /// `command_id`, `correlation_id`, `causation_id`, `user_id`, `tenant_id`, `ip_address`, `user_agent` and
    /// `trace_id`. A trace id is kept as `traceId`, and is the correlation id where the spans say none. An empty field counts
    /// as none.
    ///
    /// A `command_id` is the id of one command for an aggregate: a second command that is executed in its span on the same
    /// aggregate is taken for the first, and told what that reached. So it belongs to the span of one command, and the id of
    /// a request that leads to several into `correlation_id`.
    ///
    /// The subscriber must have a [`ContextLayer`]; without one, and outside of all spans, the context is empty.
    #[must_use]
    pub fn current() -> Self {
        let fields =
            dispatcher::get_default(|dispatch| dispatch.downcast_ref::<ContextLayer>()?.read?(dispatch));
        fields.map_or_else(Self::new, SpanFields::into_context)
    }
}

/// The fields of the current span and those around it; none outside of all spans.
fn read<S: Subscriber + for<'a> LookupSpan<'a>>(dispatch: &Dispatch) -> Option<SpanFields> {
    let subscriber = dispatch.downcast_ref::<S>()?;
    let current = dispatch.current_span();
    let mut found = SpanFields::default();
    for span in subscriber.span(current.id()?)?.scope() {
        if let Some(fields) = span.extensions().get::<SpanFields>() {
            found.fill_from(fields);
        }
    }
    Some(found)
}

/// Gives a context the value of a field.
type SetField = fn(Context, String) -> Context;

/// The spans' fields that are kept, and what a context does with each. The trace is last, since the correlation id
/// may come from it.
const FIELDS: [(&str, SetField); 8] = [
    ("command_id", Context::command_id),
    ("correlation_id", Context::correlation_id),
    ("causation_id", Context::causation_id),
    ("user_id", Context::user_id),
    ("tenant_id", Context::tenant_id),
    ("ip_address", Context::ip_address),
    ("user_agent", Context::user_agent),
    ("trace_id", Context::trace_id),
];

/// The values of [`FIELDS`] in a span.
#[derive(Default)]
struct SpanFields([Option<String>; FIELDS.len()]);

impl SpanFields {
    fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// Takes from others what these lack.
    fn fill_from(&mut self, others: &Self) {
        for (value, other) in self.0.iter_mut().zip(&others.0) {
            if value.is_none() {
                value.clone_from(other);
            }
        }
    }

    fn into_context(self) -> Context {
        let values = FIELDS.into_iter().zip(self.0);
        values.fold(Context::new(), |context, ((_, set), value)| match value {
            Some(value) => set(context, value),
            None => context,
        })
    }
}

impl Visit for SpanFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if value.is_empty() {
            return;
        }
        if let Some(at) = FIELDS.iter().position(|(name, _)| *name == field.name()) {
            self.0[at] = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
