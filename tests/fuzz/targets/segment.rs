//! A whole segment, alone or with the one that goes on from it.

#![no_main]

use annals_fuzz::Target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| annals_fuzz::run(Target::Segment, input));

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    annals_fuzz::mutate(Target::Segment, data, size, max_size, seed)
});
