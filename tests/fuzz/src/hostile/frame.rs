//! Frames and records: the input is what stands behind the header of a store's only segment.

use super::{
    look::{self, Beside},
    mend::{LogEnd, Mender},
    stores::{self, STORE_ID},
};

pub(crate) fn run(input: &[u8]) {
    let segment = stores::segment_with(input, &LogEnd::beginning(STORE_ID));
    let disk =
        stores::disk_with(&[("store.meta", &stores::meta(STORE_ID)), (&stores::segment_name(1), &segment)]);
    look::examine(&disk, Beside::Nothing);
}

pub(crate) fn mend(input: &[u8], mender: &Mender) -> Vec<u8> {
    let beginning = LogEnd::beginning(STORE_ID);
    let mut segment = stores::segment_with(input, &beginning);
    mender.segment(&mut segment, &beginning);
    segment.split_off(512)
}
