//! Any files in a store's directory, and a backup or none: repaired, repaired again, opened, read, appended to.

#![no_main]

use annals_fuzz::Target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| annals_fuzz::run(Target::Repair, input));

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    annals_fuzz::mutate(Target::Repair, data, size, max_size, seed)
});
