#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs, reason="x")]
fn main(){ let n:u64=std::env::args().nth(1).unwrap().parse().unwrap(); let mut c=annals::SimulationCounts::default(); let t=std::time::Instant::now(); for s in 0..n { c.add(annals::simulate(s).unwrap()); } let e=t.elapsed().as_secs_f64(); println!("{c:?} {e:.2}s {:.0} cuts/s", c.cuts as f64/e); }
