//! The engine's tables: documents by key in the one database.

use wharf_db::Table;

use crate::{container::Container, volume::Volume};

/// Containers by id.
pub(crate) const CONTAINERS: Table<Container> = Table::new("containers", 1);
/// Container ids by name.
pub(crate) const NAMES: Table<String> = Table::new("container_names", 1);
/// Volumes by name.
pub(crate) const VOLUMES: Table<Volume> = Table::new("volumes", 1);
