//! Content that is stored once under its digest, packed.

use crate::sql::StoreError;

const LEVEL: i32 = 3;
/// Most bytes that stored content may unpack to.
const UNPACKED_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(crate) fn pack(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, LEVEL).expect("compressing into memory fails only without memory")
}

pub(crate) fn unpack(what: &'static str, packed: &[u8]) -> Result<Vec<u8>, StoreError> {
    zstd::bulk::decompress(packed, UNPACKED_BYTES_MAX).map_err(|error| StoreError::Damaged { what, detail: error.to_string() })
}
