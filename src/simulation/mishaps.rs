//! What goes wrong in an opening of a life by chance.

use std::io;

use crate::disk::sim::{
    faults::{DiskOperation, Fault, SyncFailure},
    random::Random,
    simulated::SimDisk,
};

/// At which operation of an opening the power is cut at the latest, where it is cut in its midst.
const CUT_MAX: usize = 70;

/// What is to go wrong in the next opening.
pub(crate) fn plan_faults(disk: &SimDisk, random: &mut Random) {
    disk.clear_faults();
    match random.below(7) {
        0 | 1 => plan_cut(disk, random),
        2 => plan_failing_sync(disk, random),
        // The power goes amid what a sync that failed has left.
        3 => {
            plan_failing_sync(disk, random);
            plan_cut(disk, random);
        }
        4 => {
            let full = Fault::new(io::ErrorKind::StorageFull).on(DiskOperation::Write);
            disk.fail(full.at(1 + random.below(30) as u64));
        }
        _ => {}
    }
}

fn plan_cut(disk: &SimDisk, random: &mut Random) {
    disk.cut_at(1 + random.below(CUT_MAX) as u64);
}

fn plan_failing_sync(disk: &SimDisk, random: &mut Random) {
    let left = [
        SyncFailure::StaysDirty,
        SyncFailure::ForgetsDirty,
        SyncFailure::RevertsCache,
        SyncFailure::ComesLate,
    ][random.below(4)];
    let nth = 1 + random.below(20) as u64;
    let fault = Fault::new(io::ErrorKind::Other).on(DiskOperation::Sync).at(nth).leaving(left);
    disk.fail(fault);
}
