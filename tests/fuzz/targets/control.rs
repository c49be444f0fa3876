//! The small structures: store.meta, durable.mark, head, writer.pid, and what the store's own streams hold.

#![no_main]

use annals_fuzz::Target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| annals_fuzz::run(Target::Control, input));

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    annals_fuzz::mutate(Target::Control, data, size, max_size, seed)
});
