//! Any files in a store's directory, and in one for backups: backed up, restored, backed up again.

#![no_main]

use annals_fuzz::Target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| annals_fuzz::run(Target::Backup, input));

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    annals_fuzz::mutate(Target::Backup, data, size, max_size, seed)
});
