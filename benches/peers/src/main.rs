//! The same work on Annals, on other embedded stores and on the raw disk.
//!
//! ```text
//! cargo run --release --locked --manifest-path benches/peers/Cargo.toml -- [--engines a,b] [--rows PATTERN]
//!     [--rounds N] [--seconds S] [--directory DIR] [--short] [--format text|json] [--syncs]
//! ```
//!
//! - `--engines`: `raw`, `annals`, `lmdb`, `sqlite`, `redb`, `tephra`, `fjall`; all of them unless said otherwise.
//! - `--rows`: only rows whose name contains the text, or one of several texts with `|` between them.
//! - `--rounds`: how often each row is measured; the table has medians.
//! - `--seconds`: how long an append or read goes on.
//! - `--directory`: where stores are made, on the disk that is to be measured; `target/annals-peers` below the
//!   current directory unless said otherwise.
//! - `--short`: tiny stores and moments, to see that everything works. Its figures mean nothing.
//! - `--syncs`: counts with strace what each engine asks of the disk for an append, instead of measuring.
//!
//! Every engine does each workload in a process of its own. The engines of a row run one after the other, and so
//! do the rows of a round, so that a noisy moment meets all alike. Reading begins with a full page cache. Each
//! workload checks its answer: what was appended is read again, and what is read must be what was appended.
//! A ratio is the median of the ratios of the rounds.

use std::error::Error;

use crate::job::Job;

#[path = "../../support/child.rs"]
mod child;
mod disk;
mod engines;
mod figures;
#[path = "../../support/files.rs"]
mod files;
#[path = "../../support/in_flight.rs"]
mod in_flight;
mod job;
#[path = "../../support/median.rs"]
mod median;
#[path = "../../../src/bin/annals/bench/mix.rs"]
mod mix;
#[path = "../../support/own_memory.rs"]
mod own_memory;
mod payload;
#[path = "../../support/percentile.rs"]
mod percentile;
#[path = "../../support/rate.rs"]
mod rate;
mod rows;
mod run;
mod settings;
mod syncs;
mod table;
mod workload;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    if let Some(job) = child::given::<Job>()? {
        return job.run();
    }
    let settings = settings::Settings::given()?;
    std::fs::create_dir_all(&settings.directory)?;
    if settings.counts_syncs { syncs::run(&settings) } else { run::run(&settings) }
}
