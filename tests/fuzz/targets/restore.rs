//! Any files in a backup's directory: restored, to a moment or whole, verified, read.

#![no_main]

use annals_fuzz::Target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| annals_fuzz::run(Target::Restore, input));

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    annals_fuzz::mutate(Target::Restore, data, size, max_size, seed)
});
