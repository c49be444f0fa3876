//! placeholder
use crate::{event::StoredEvent, invalid::Invalid, metadata::Metadata};

/// The context.
#[derive(Clone, Default, Debug)]
pub struct Context(Metadata);

impl Context {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// The correlation.
    #[must_use]
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.0.correlation_id = Some(id.into());
        self
    }
    /// The causation.
    #[must_use]
    pub fn causation_id(mut self, id: impl Into<String>) -> Self {
        self.0.causation_id = Some(id.into());
        self
    }
    /// Caused by.
    ///
    /// # Errors
    ///
    /// Bad metadata.
    pub fn caused_by(event: &StoredEvent) -> Result<Self, Invalid> {
        let metadata = event.metadata()?.unwrap_or_default();
        Ok(Self(Metadata {
            correlation_id: metadata.correlation_id.or_else(|| Some(event.id.to_string())),
            causation_id: Some(event.id.to_string()),
            user_id: metadata.user_id,
            tenant_id: metadata.tenant_id,
            ..Metadata::default()
        }))
    }
    /// The metadata.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        self.0.clone()
    }
}
