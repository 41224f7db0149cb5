//! A queue's salt, told from a record instead of a segment's header.
//!
//! The salt is where the CRC register of every checksum starts, and each step of a CRC can be
//! undone: from a checksum and the bytes it is of, back to the start.

const POLYNOMIAL: u32 = 0xEDB8_8320;
const TABLE: [u32; 256] = table();

/// The salt with which `bytes` have this checksum. There is always one; whether it is the queue's
/// another checksum has to tell.
pub(super) fn salt_of_checksum(checksum: u32, bytes: &[u8]) -> u32 {
    let mut register = !checksum;
    for &byte in bytes.iter().rev() {
        // A step leaves the highest byte of the table's entry as it is, and no two share it.
        let index = (0..=u8::MAX)
            .find(|&index| TABLE[usize::from(index)] >> 24 == register >> 24)
            .expect("the highest bytes of the table are all bytes");
        register = ((register ^ TABLE[usize::from(index)]) << 8) | u32::from(index ^ byte);
    }
    !register
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0u32;
    while index < 256 {
        let mut entry = index;
        let mut bit = 0;
        while bit < 8 {
            entry = (entry >> 1) ^ if entry & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        table[index as usize] = entry;
        index += 1;
    }
    table
}
