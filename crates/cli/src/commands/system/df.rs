//! `system df`.

use wharf_api::{
    container, image,
    system::{BuildCache, DiskUsage},
    volume::Volume,
};
use wharf_template::Value;

use crate::{
    Cli, Matches, Result,
    command::Command,
    commands::{container::ls as containers, image::ls as images, volume::ls as volumes},
    flag::{FORMAT_HELP, Flag},
    print,
    render::{self, Format, Row},
};

static FLAGS: &[Flag] = &[
    Flag::string("format", FORMAT_HELP),
    Flag::bool("verbose", "Show detailed information on space usage").short('v'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("df", "[OPTIONS]", "Show docker disk usage").flags(FLAGS).run(run);

const HEADINGS: &[(&str, &str)] = &[
    ("Type", "TYPE"),
    ("TotalCount", "TOTAL"),
    ("Active", "ACTIVE"),
    ("Size", "SIZE"),
    ("Reclaimable", "RECLAIMABLE"),
];

const TABLE: &str = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";

const RAW: &str = "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\n\
                   reclaimable: {{.Reclaimable}}\n";

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let (given, verbose) = (m.str("format"), m.bool("verbose"));
    let template = match given {
        "" | "table" => None,
        "json" => Some("{{json .}}"),
        source => Some(source),
    };
    let client = cli.client()?;
    let usage: DiskUsage = cli.block_on(async { Ok(client.disk_usage().await?) })?;
    match template {
        Some(template) if verbose => return through_template(usage, template),
        None if verbose => return details(usage),
        _ => {}
    }
    let images = usage.images.unwrap_or_default();
    let containers = usage.containers.unwrap_or_default();
    let volumes = usage.volumes.unwrap_or_default();
    let cache = usage.build_cache.unwrap_or_default();
    let cache = Sum {
        total: cache.len(),
        active: cache.iter().filter(|c| c.in_use).count(),
        size: cache.iter().filter(|c| !c.shared).map(|c| c.size).sum(),
        reclaimable: cache.iter().filter(|c| !c.shared && !c.in_use).map(|c| c.size).sum(),
    };
    let rows = [
        of_images(&images, usage.layers_size).row("*formatter.diskUsageImagesContext", "Images", true),
        of_containers(&containers).row("*formatter.diskUsageContainersContext", "Containers", true),
        of_volumes(&volumes).row("*formatter.diskUsageVolumesContext", "Local Volumes", true),
        cache.row("*formatter.diskUsageBuilderContext", "Build Cache", false),
    ];
    let format = if given == "raw" { Format::new(RAW, "") } else { Format::new(given, TABLE) };
    format.print(HEADINGS, rows)
}

/// One line of the summary.
struct Sum {
    total: usize,
    active: usize,
    size: i64,
    reclaimable: i64,
}

impl Sum {
    fn row(&self, type_name: &'static str, kind: &str, percent: bool) -> Row {
        let mut reclaimable = render::human_size(self.reclaimable as f64);
        if percent && self.size > 0 {
            reclaimable.push_str(&format!(" ({}%)", self.reclaimable * 100 / self.size));
        }
        Row::new(type_name)
            .with("Type", kind)
            .with("TotalCount", self.total.to_string())
            .with("Active", self.active.to_string())
            .with("Size", render::human_size(self.size as f64))
            .with("Reclaimable", reclaimable)
    }
}

fn of_images(images: &[image::Summary], layers: i64) -> Sum {
    let in_use = images.iter().filter(|i| i.containers > 0);
    let known = in_use.clone().filter(|i| i.size != -1 && i.shared_size != -1);
    let used: i64 = known.map(|i| i.size - i.shared_size).sum();
    Sum { total: images.len(), active: in_use.count(), size: layers, reclaimable: layers - used }
}

fn of_containers(containers: &[container::Summary]) -> Sum {
    let active = |c: &&container::Summary| ["running", "paused", "restarting"].contains(&c.state.as_str());
    Sum {
        total: containers.len(),
        active: containers.iter().filter(active).count(),
        size: containers.iter().map(|c| c.size_rw).sum(),
        reclaimable: containers.iter().filter(|c| !active(c)).map(|c| c.size_rw).sum(),
    }
}

fn of_volumes(volumes: &[Volume]) -> Sum {
    let usage = |v: &Volume| v.usage_data.as_ref().map_or((0, 0), |u| (u.ref_count, u.size.max(0)));
    Sum {
        total: volumes.len(),
        active: volumes.iter().filter(|v| usage(v).0 > 0).count(),
        size: volumes.iter().map(|v| usage(v).1).sum(),
        reclaimable: volumes.iter().filter(|v| usage(v).0 == 0).map(|v| usage(v).1).sum(),
    }
}

/// All objects as one document for a template.
fn through_template(usage: DiskUsage, source: &str) -> Result<()> {
    let rows = |rows: Vec<Row>| Value::list(rows.into_iter().map(Row::value));
    let images = usage.images.unwrap_or_default();
    let images = images
        .iter()
        .flat_map(|i| images::names(i, false).into_iter().take(1).map(move |n| images::row(i, n, false)));
    let containers =
        usage.containers.unwrap_or_default().into_iter().map(|container| containers::row(container, false));
    let volumes = usage.volumes.unwrap_or_default().into_iter().map(volumes::row);
    let cache = usage.build_cache.unwrap_or_default().into_iter().map(cache_row);
    let document = Row::new("*formatter.diskUsageContext")
        .with("Images", rows(images.collect()))
        .with("Containers", rows(containers.collect()))
        .with("Volumes", rows(volumes.collect()))
        .with("BuildCache", rows(cache.collect()));
    let template = wharf_template::Template::parse(source)?;
    // compat: no line end.
    print::out(&template.render_value(&document.value())?);
    Ok(())
}

fn cache_row(record: BuildCache) -> Row {
    let age = |text: &str| match text.parse::<jiff::Timestamp>() {
        Ok(at) => render::age(at.as_second()),
        Err(_) => String::new(),
    };
    Row::new("*formatter.buildCacheContext")
        .with("ID", render::truncate_id(&record.id))
        .with("CacheType", record.kind)
        .with("Size", render::human_size_3(record.size as f64))
        .with("CreatedSince", age(&record.created_at))
        .with("LastUsedSince", age(record.last_used_at.as_deref().unwrap_or_default()))
        .with("UsageCount", record.usage_count.to_string())
        .with("Shared", record.shared.to_string())
}

fn details(usage: DiskUsage) -> Result<()> {
    print::out("Images space usage:\n\n");
    let table = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";
    let list = usage.images.unwrap_or_default();
    let rows = list
        .iter()
        .flat_map(|i| images::names(i, false).into_iter().take(1).map(move |n| images::row(i, n, true)));
    Format::new("", table).print(images::HEADINGS, rows)?;
    print::out("\nContainers space usage:\n\n");
    let table = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}";
    let rows = usage.containers.unwrap_or_default().into_iter().map(|mut container| {
        // Only what the container itself takes counts here.
        container.size_root_fs = 0;
        containers::row(container, true)
    });
    Format::new("", table).print(containers::HEADINGS, rows)?;
    print::out("\nLocal Volumes space usage:\n\n");
    let rows = usage.volumes.unwrap_or_default().into_iter().map(volumes::row);
    Format::new("", "{{.Name}}\t{{.Links}}\t{{.Size}}").print(volumes::HEADINGS, rows)?;
    let cache = usage.build_cache.unwrap_or_default();
    let total: i64 = cache.iter().filter(|c| !c.shared).map(|c| c.size).sum();
    print::out(&format!("\nBuild cache usage: {}\n\n", render::human_size(total as f64)));
    let rows = cache.into_iter().map(cache_row);
    let table = "{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}";
    Format::new("", table).print(CACHE_HEADINGS, rows)
}

const CACHE_HEADINGS: &[(&str, &str)] = &[
    ("ID", "CACHE ID"),
    ("CacheType", "CACHE TYPE"),
    ("Size", "SIZE"),
    ("CreatedSince", "CREATED"),
    ("LastUsedSince", "LAST USED"),
    ("UsageCount", "USAGE"),
    ("Shared", "SHARED"),
];
