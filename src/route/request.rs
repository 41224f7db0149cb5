//! A request as the router takes it.

use crate::remote_write::block::Form;
use crate::remote_write::snappy;

/// A decompressed request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    pub(super) form: Form,
    bytes: &'r [u8],
    /// What `bytes` were decompressed from, if it is worth keeping.
    elements: Option<&'r [u8]>,
}

impl<'r> Request<'r> {
    /// A request in this form.
    #[must_use]
    pub fn new(form: Form, bytes: &'r [u8]) -> Self {
        Self {
            form,
            bytes,
            elements: None,
        }
    }

    /// The same, of which `block` is the snappy block that it was decompressed from: a route that
    /// takes all of it as it came need not compress it again.
    ///
    /// A block that is more than half as large as what it holds is not taken over. A sender that
    /// hardly compresses would else decide how much room a queue needs.
    #[must_use]
    pub fn decompressed_from(self, block: &'r [u8]) -> Self {
        let elements = snappy::elements(block);
        let elements = (elements.len() <= self.bytes.len() / 2).then_some(elements);
        Self { elements, ..self }
    }

    /// Its bytes, decompressed.
    #[must_use]
    pub fn bytes(&self) -> &'r [u8] {
        self.bytes
    }

    /// The compressed elements of `piece`, if that is the whole request and they are known.
    pub(super) fn elements_of(&self, piece: &[u8]) -> Option<&'r [u8]> {
        self.elements.filter(|_| piece == self.bytes)
    }
}
