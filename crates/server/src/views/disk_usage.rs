//! `system df`.

use jiff::Timestamp;
use wharf_api::system::DiskUsage;
use wharf_api::volume::UsageData;
use wharf_engine::Engine;
use wharf_engine::container::ListOptions;

use super::container::ImageNames;
use super::volume::volume;
use crate::call::{Call, Result};
use crate::routes::images::users;

/// What all objects take on disk, or those of the kinds that the call names. The other kinds are `null`.
pub(crate) fn disk_usage(call: &Call<Engine>) -> Result<DiskUsage> {
    let engine = &call.engine;
    let wanted =
        |kind: &str| call.query.get("type").is_none() || call.query.all("type").any(|name| name == kind);
    let mut usage = DiskUsage::default();
    if wanted("image") {
        let (images, layers) = engine.images.usage(&users(engine))?;
        usage.layers_size = i64::try_from(layers).unwrap_or(i64::MAX);
        let version = call.version;
        usage.images = Some(images.into_iter().map(|row| super::image::used(row, version)).collect());
    }
    if wanted("container") {
        let (mut names, now) = (ImageNames::new(engine), Timestamp::now());
        let entries = engine.list_containers(&ListOptions { all: true, ..ListOptions::default() })?;
        let rows = entries.iter().map(|entry| super::container::summary(&entry.get(), &mut names, true, now));
        usage.containers = Some(rows.collect::<wharf_engine::Result<_>>()?);
    }
    if wanted("volume") {
        let row = |record: wharf_engine::volume::Volume| {
            let users = i64::try_from(engine.volume_users(&record.name).len()).unwrap_or(i64::MAX);
            let size = i64::try_from(engine.volume_size(&record.name)).unwrap_or(i64::MAX);
            let mut row = volume(engine, record);
            row.usage_data = Some(UsageData { ref_count: users, size });
            row
        };
        usage.volumes = Some(engine.volumes()?.into_iter().map(row).collect());
    }
    if wanted("build-cache") {
        usage.build_cache = Some(engine.build_cache()?);
    }
    Ok(usage)
}
