//! `build`.

use std::fs;

use serde_json::json;
use wharf_api::build::{Export, Outcome};

use super::{
    annotations, attest,
    cache::Caches,
    call::{Call, Question},
    context::{self, Context},
    display::{self, Display, Style},
    output::Outputs,
    request, session,
    ssh::Agents,
};
use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command, Section},
    commands::container::options::{extra_host, ulimit},
    flag::Flag,
    print, progress, registry_auth,
};

static FLAGS: &[Flag] = &[
    Flag::strings("add-host", "Add a custom host-to-IP mapping (format: \"host:ip\")")
        .check(|text| extra_host(text).map(drop)),
    Flag::list("allow", "Allow extra privileged entitlement (e.g., \"network.host\", \"security.insecure\")")
        .label("stringArray"),
    Flag::list("annotation", "Add annotation to the image").label("stringArray"),
    Flag::list("attest", "Attestation parameters (format: \"type=sbom,generator=image\")").label("stringArray"),
    Flag::list("build-arg", "Set build-time variables").label("stringArray"),
    Flag::list("build-context", "Additional build contexts (e.g., name=path)").label("stringArray"),
    Flag::string("builder", "Override the configured builder instance").default("default").shown_default(""),
    Flag::list("cache-from", "External cache sources (e.g., \"user/app:cache\", \"type=local,src=path/to/dir\")")
        .label("stringArray"),
    Flag::list("cache-to", "Cache export destinations (e.g., \"user/app:cache\", \"type=local,dest=path/to/dir\")")
        .label("stringArray"),
    Flag::string("call", "Set method for evaluating build (\"check\", \"outline\", \"targets\")")
        .default("build")
        .shown_default("\"build\""),
    Flag::string("cgroup-parent", "Set the parent cgroup for the \"RUN\" instructions during build"),
    Flag::bool("check", "Shorthand for \"--call=check\""),
    Flag::bool("debug", "Enable debug logging").short('D'),
    Flag::string("file", "Name of the Dockerfile (default: \"PATH/Dockerfile\")").short('f'),
    Flag::string("iidfile", "Write the image ID to a file"),
    Flag::list("label", "Set metadata for an image").label("stringArray"),
    Flag::bool("load", "Shorthand for \"--output=type=docker\""),
    Flag::string("metadata-file", "Write build result metadata to a file"),
    Flag::string("network", "Set the networking mode for the \"RUN\" instructions during build")
        .default("default")
        .shown_default("\"default\""),
    Flag::bool("no-cache", "Do not use cache when building the image"),
    Flag::list("no-cache-filter", "Do not cache specified stages").label("stringArray"),
    Flag::list("output", "Output destination (format: \"type=local,dest=path\")").short('o').label("stringArray"),
    Flag::list("platform", "Set target platform for build").label("stringArray"),
    Flag::string(
        "progress",
        "Set type of progress output (\"auto\", \"none\", \"plain\", \"quiet\", \"rawjson\", \"tty\"). Use plain to show \
         container output",
    )
    .default("auto")
    .shown_default("\"auto\""),
    Flag::string("provenance", "Shorthand for \"--attest=type=provenance\""),
    Flag::bool("pull", "Always attempt to pull all referenced images"),
    Flag::bool("push", "Shorthand for \"--output=type=registry,unpack=false\""),
    Flag::bool("quiet", "Suppress the build output and print image ID on success").short('q'),
    Flag::string("sbom", "Shorthand for \"--attest=type=sbom\""),
    Flag::bool(
        "reproducible",
        "Make the image a function of what it is built from: no time in it is later than SOURCE_DATE_EPOCH",
    ),
    Flag::list("secret", "Secret to expose to the build (format: \"id=mysecret[,src=/local/secret]\")")
        .label("stringArray"),
    Flag::bytes("shm-size", "Shared memory size for build containers"),
    Flag::list("ssh", "SSH agent socket or keys to expose to the build").label("stringArray"),
    Flag::list("tag", "Image identifier (format: \"[registry/]repository[:tag]\")").short('t').label("stringArray"),
    Flag::string("target", "Set the target build stage to build"),
    Flag::list("ulimit", "Ulimit options").check(|text| ulimit(text).map(drop)).label("ulimit"),
    Flag::bool("rm", "Remove intermediate containers after a successful build").default("true").hidden(),
    Flag::bool("force-rm", "Always remove intermediate containers").hidden(),
    Flag::bool("compress", "Compress the build context using gzip").hidden(),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("build", "[OPTIONS] PATH | URL | -", "Start a build")
    .other_names(&["b"])
    .aliases(&["build", "builder build", "image build", "buildx b"])
    .args(Args::Any)
    .flags(FLAGS)
    .section(Section::Common)
    .run(run);

/// The same where images are made: lists of commands say there what comes of it.
pub(crate) const AS_IMAGE_COMMAND: Command =
    COMMAND.about("Build an image from a Dockerfile").long(COMMAND.about);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    if m.args().len() != 1 {
        let program = cli.program();
        return Err(Error::message(format!(
            "ERROR: {program}: '{program} buildx build' requires 1 argument\n\nUsage:  {program} buildx build [OPTIONS] \
             PATH | URL | -\n\nRun '{program} buildx build --help' for more information"
        )));
    }
    let to_files =
        || Outputs::parse(&m.list("output"), false, false).is_ok_and(|outputs| outputs.has_files());
    if m.opt("iidfile").is_some_and(|path| !path.is_empty()) && to_files() {
        return Err(Error::message("ERROR: local and tar exporters are incompatible with image ID file"));
    }
    let attested = attest::wanted(&m.list("attest"), m.opt("provenance"), m.opt("sbom"))?;
    build(cli, m, attested).map_err(|error| match error {
        Error::Message(text) => Error::message(format!("ERROR: failed to build: {text}")),
        Error::Client(source) if source.is_connect() => Error::Client(source),
        other => Error::message(format!("ERROR: failed to build: {other}")),
    })
}

fn build(cli: &Cli, m: &Matches, attested: bool) -> Result<()> {
    if attested {
        return Err(Error::message(attest::REFUSED));
    }
    let style = style(m)?;
    let question = Question::parse(m.str("call"), m.bool("check"))?;
    let outputs = Outputs::parse(&m.list("output"), m.bool("push"), m.bool("load"))?;
    let caches = Caches::parse(&m.list("cache-from"), &m.list("cache-to"))?;
    let context = Context::open(m.arg(0), m.str("file"))?;
    let folders = context::named(&m.list("build-context"))?;
    let mut request = request::request(cli, m, &context, &folders, &caches, &outputs.names)?;
    request.newest = request.newest.or(request.epoch.filter(|_| outputs.rewrite_timestamp));
    request.annotations = annotations::parse(&m.list("annotation"))?;
    annotations::check(&request.annotations, request.platforms.len())?;
    request.exports = match question.call {
        Call::Outline | Call::Targets => return question.answer(&request, &context),
        Call::Check => vec![Export::Check],
        Call::Build => outputs.exports(request.platforms.len())?,
    };
    // The engine's store has no place for annotations: what is pushed later would have none.
    if outputs.push && !request.annotations.is_empty() && request.exports.contains(&Export::Image) {
        request.exports.push(Export::Push);
    }
    if outputs.push && request.names.is_empty() {
        return Err(Error::message("tag is needed when pushing to registry"));
    }
    let secrets = request::secrets(&m.list("secret"))?;
    let agents = Agents::parse(&m.list("ssh"))?;
    request.ssh = agents.names();
    let client = cli.client()?;
    let mut display = Display::new(style, &context.dockerfile_name, &request.dockerfile);
    let outcome = cli.block_on(async {
        let hijacked = client.build_session().await?;
        let files = session::Files {
            context: context.folder(),
            named: folders,
            secrets,
            caches: caches.folders(),
            agents,
        };
        session::build(hijacked, &request, files, &outputs, &mut display).await
    })?;
    if question.call == Call::Check {
        return question.report(&outcome, &request, &context);
    }
    if let Some(error) = &outcome.error {
        display.failed(error);
        if error.step.is_some() && std::io::IsTerminal::is_terminal(&std::io::stderr()) {
            print::warn(&format!("View what the step left with: {} builder shell", cli.program()));
        }
        return Err(Error::message(format!("failed to solve: {}", error.message)));
    }
    display.finish(&outcome, &request.names, &caches.warnings);
    settle(m, &outcome, &request.names)?;
    if outputs.push && !request.exports.contains(&Export::Push) {
        push(cli, &request.names)?;
    }
    Ok(())
}

/// Writes what was asked for about the result.
fn settle(m: &Matches, outcome: &Outcome, names: &[String]) -> Result<()> {
    let digest = outcome.index.as_ref().or(outcome.images.first()).cloned().unwrap_or_default();
    let write =
        |path: &str, text: &str| fs::write(path, text).map_err(|error| Error::file("open", path, error));
    if let Some(path) = m.opt("iidfile").filter(|path| !path.is_empty()) {
        write(path, &digest)?;
    }
    if let Some(path) = m.opt("metadata-file").filter(|path| !path.is_empty()) {
        let metadata = metadata(outcome, &digest, names);
        write(path, &serde_json::to_string_pretty(&metadata).unwrap_or_default())?;
    }
    // compat: an empty line where there is no image.
    if m.bool("quiet") || m.str("progress") == "quiet" {
        print::line(&digest);
    }
    Ok(())
}

/// What the metadata file says: of files there is nothing to say.
fn metadata(outcome: &Outcome, digest: &str, names: &[String]) -> serde_json::Value {
    let mut metadata = json!({});
    if let (None, [id]) = (&outcome.index, outcome.images.as_slice()) {
        metadata["containerimage.config.digest"] = json!(id);
    }
    if !digest.is_empty() {
        metadata["containerimage.digest"] = json!(digest);
        if !names.is_empty() {
            let names: Vec<_> = names.iter().map(|name| display::canonical(name)).collect();
            metadata["image.name"] = json!(names.join(","));
        }
    }
    metadata
}

fn push(cli: &Cli, names: &[String]) -> Result<()> {
    let client = cli.client()?;
    for name in names {
        let reference =
            wharf_oci::Reference::parse(name).map_err(|error| Error::message(error.to_string()))?;
        let reference = reference.with_default_tag();
        let auth = registry_auth::header_of_push(&cli.config(), reference.domain());
        cli.block_on(async {
            let tag = reference.tag().unwrap_or_default();
            let messages = client.image_push(&reference.familiar_name(), tag, "", &auth).await?;
            progress::show(messages).await
        })?;
    }
    Ok(())
}

fn style(m: &Matches) -> Result<Style> {
    let variable = std::env::var("BUILDKIT_PROGRESS").unwrap_or_default();
    let wanted = match m.str("progress") {
        "auto" if !variable.is_empty() => variable.as_str(),
        given => given,
    };
    Ok(match wanted {
        _ if m.bool("quiet") => Style::Quiet,
        "quiet" | "none" => Style::Quiet,
        "plain" => Style::Plain,
        "rawjson" => Style::Json,
        "tty" => Style::Terminal,
        "auto" if std::io::IsTerminal::is_terminal(&std::io::stderr()) => Style::Terminal,
        "auto" => Style::Plain,
        other => return Err(Error::message(format!("invalid progress mode {other}"))),
    })
}
