//! Whether this is still the process that opened the store, or a child that was forked from it.
//!
//! A child has a copy of the program's memory, but not its threads: an append there would wait for ever. On
//! Linux a page that is wiped in a child tells the two apart without a system call; elsewhere the process's
//! number does.

#[cfg(target_os = "linux")]
use crate::disk::os::wipe_in_children;

/// Remembers the process that made it.
#[derive(Debug)]
pub(crate) struct HomeProcess {
    number: u32,
    #[cfg(target_os = "linux")]
    wiped_in_children: Option<memmap2::MmapMut>,
}

#[cfg(target_os = "linux")]
const WRITTEN_AT_HOME: u8 = 1;

impl HomeProcess {
    pub(crate) fn new() -> Self {
        Self {
            number: std::process::id(),
            #[cfg(target_os = "linux")]
            wiped_in_children: page_wiped_in_children(),
        }
    }

    /// Whether this is the process that made it.
    pub(crate) fn is_here(&self) -> bool {
        #[cfg(target_os = "linux")]
        if let Some(page) = &self.wiped_in_children {
            return std::hint::black_box(page)[0] == WRITTEN_AT_HOME;
        }
        self.number == std::process::id()
    }
}

/// None where the kernel is older than 4.14.
#[cfg(target_os = "linux")]
fn page_wiped_in_children() -> Option<memmap2::MmapMut> {
    let mut page = memmap2::MmapMut::map_anon(1).ok()?;
    page[0] = WRITTEN_AT_HOME;
    wipe_in_children(&mut page).ok()?;
    Some(page)
}
