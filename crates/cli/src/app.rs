//! The tree of commands, the global options, and the way from an argument list to the command that runs.

use crate::{
    Cli, Error, Result,
    cli::default_config,
    command::{Action, Command, Section},
    commands::{builder, container, image, manifest, network, system, volume},
    error,
    flag::Flag,
    help::{self, Place},
    parse::{self, Parsed},
    print,
};

/// Everything below the root, in the order of the "Common Commands"; the other sections are sorted when shown.
pub(crate) static COMMANDS: &[Command] = &[
    container::run::COMMAND.section(Section::Common),
    container::exec::COMMAND.section(Section::Common),
    container::ls::COMMAND.named("ps").section(Section::Common),
    builder::build::AS_IMAGE_COMMAND,
    image::pull::COMMAND.section(Section::Common),
    image::push::COMMAND.section(Section::Common),
    image::ls::COMMAND.named("images").section(Section::Common),
    image::search::COMMAND.section(Section::Common),
    system::login::COMMAND.section(Section::Common),
    system::logout::COMMAND.section(Section::Common),
    system::version::COMMAND.section(Section::Common),
    system::info::COMMAND.section(Section::Common),
    builder::GROUP,
    builder::BUILDX,
    container::GROUP,
    image::GROUP,
    manifest::GROUP,
    network::GROUP,
    system::GROUP,
    volume::GROUP,
    container::attach::COMMAND,
    container::commit::COMMAND,
    container::cp::COMMAND,
    container::create::COMMAND,
    container::diff::COMMAND,
    system::events::COMMAND,
    container::export::COMMAND,
    image::history::COMMAND,
    image::import::COMMAND,
    system::inspect::COMMAND,
    container::kill::COMMAND,
    image::load::COMMAND,
    container::logs::COMMAND,
    container::pause::COMMAND,
    container::port::COMMAND,
    container::rename::COMMAND,
    container::restart::COMMAND,
    container::rm::COMMAND,
    image::rm::COMMAND.named("rmi"),
    image::save::COMMAND,
    container::start::COMMAND,
    container::stats::COMMAND,
    container::stop::COMMAND,
    image::tag::COMMAND,
    container::top::COMMAND,
    container::unpause::COMMAND,
    container::update::COMMAND,
    container::wait::COMMAND,
    system::completion::COMMAND,
    system::completion::CANDIDATES,
    system::man::COMMAND,
    HELP,
    Command::new("bake", "", ""),
    Command::new("checkpoint", "", ""),
    Command::new("compose", "", ""),
    Command::new("config", "", ""),
    Command::new("context", "", ""),
    Command::new("node", "", ""),
    Command::new("plugin", "", ""),
    Command::new("secret", "", ""),
    Command::new("service", "", ""),
    Command::new("stack", "", ""),
    Command::new("swarm", "", ""),
    Command::new("trust", "", ""),
];

const HELP: Command = Command::new("help", "[command]", "Help about the command")
    .args(crate::command::Args::Any)
    .section(Section::Hidden)
    .run(|cli, m| cli.help_for(m.args()));

/// The options in front of the command.
pub(crate) static GLOBAL_FLAGS: &[Flag] = &[
    Flag::string("config", "Location of client config files"),
    Flag::string(
        "context",
        "Name of the context to use to connect to the daemon (overrides DOCKER_HOST env var and default context \
         set with \"docker context use\")",
    )
    .short('c'),
    Flag::bool("debug", "Enable debug mode").short('D'),
    Flag::string("host", "Daemon socket to connect to").short('H').once("specify only one -H"),
    Flag::string("log-level", "Set the logging level (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")")
        .short('l')
        .default("info"),
    Flag::bool("tls", "Use TLS; implied by --tlsverify"),
    Flag::string("tlscacert", "Trust certs signed only by this CA"),
    Flag::string("tlscert", "Path to TLS certificate file"),
    Flag::string("tlskey", "Path to TLS key file"),
    Flag::bool("tlsverify", "Use TLS and verify the remote"),
    Flag::bool("version", "Print version information and quit").short('v'),
];

/// Runs the command named by `args`, which do not hold the program's own name.
///
/// # Errors
/// What the command ended with.
pub(crate) fn run(program: &str, args: Vec<String>) -> Result<()> {
    let parsed = match parse::parse(GLOBAL_FLAGS, false, args) {
        Err(text) => {
            let usage = format!("{program} [OPTIONS] COMMAND [ARG...]");
            return Err(error::flag_error(&text, &usage, program));
        }
        Ok(Parsed::Help { by_letter }) => {
            show(by_letter, &help::root(program, &default_config(), help::width()));
            return Ok(());
        }
        Ok(Parsed::Matches(m)) => m,
    };
    let level = parsed.str("log-level");
    if !matches!(level, "panic" | "fatal" | "error" | "warn" | "warning" | "info" | "debug" | "trace") {
        return Err(Error::message(format!("Unable to parse logging level: {level}")));
    }
    if parsed.bool("version") && parsed.args().is_empty() {
        print::line(&format!("{} version {}, build {}", capitalised(program), crate::VERSION, crate::BUILD));
        return Ok(());
    }
    let cli = Cli::new(program.to_owned(), &parsed);
    if parsed.args().is_empty() {
        return cli.help_for(&[]);
    }
    dispatch(&cli, parsed.args())
}

fn dispatch(cli: &Cli, args: &[String]) -> Result<()> {
    let (mut parents, mut args) = (cli.program().to_owned(), args.iter().map(String::as_str));
    let name = args.next().unwrap_or_default();
    let mut rest: Vec<_> = args.map(str::to_owned).collect();
    let Some(mut command) = COMMANDS.iter().find(|c| c.name == name) else {
        // compat: an unknown name with --help shows the help of what is above it.
        if rest.iter().any(|arg| arg == "--help") {
            return cli.help_for(&[]);
        }
        return Err(error::unknown_command(cli.program(), cli.program(), false, name));
    };
    while !command.below().is_empty() {
        let Some(below) = rest.first().and_then(|name| command.find(name)) else { break };
        parents = format!("{parents} {}", command.name);
        command = below;
        rest.remove(0);
    }
    execute(cli, &Place { parents: &parents, command }, rest)
}

fn execute(cli: &Cli, place: &Place<'_>, args: Vec<String>) -> Result<()> {
    let command = place.command;
    let (path, program) = (place.path(), cli.program());
    if matches!(command.action, Action::Unsupported) {
        return Err(Error::message(format!("{program}: '{path}' is not supported by this version")));
    }
    let matches = match parse::parse(command.flags, command.interspersed, args) {
        Err(text) => return Err(error::flag_error(&text, &place.use_line(), &path)),
        Ok(Parsed::Help { by_letter }) => {
            show(by_letter, &help::command(place, program, help::width()));
            return Ok(());
        }
        Ok(Parsed::Matches(m)) => m,
    };
    match command.action {
        Action::Run(run) => {
            if let Some((text, lead)) = parse::check_args(command.args, matches.args().len()) {
                return Err(error::args_error(program, &text, lead, &place.use_line(), &path));
            }
            run(cli, &matches)
        }
        _ if !matches.args().is_empty() => {
            Err(error::unknown_command(program, &path, command.experimental, matches.arg(0)))
        }
        _ => {
            // compat: a group alone is a mistake, if one without consequence. That of an experimental one is set off.
            let lead = if command.experimental { "\n" } else { "" };
            print::err(&format!("{lead}{}", help::command(place, program, help::width())));
            Ok(())
        }
    }
}

fn show(by_letter: bool, text: &str) {
    if by_letter {
        print::warn("Flag shorthand -h has been deprecated, use --help");
    }
    print::out(text);
}

/// The name as it begins a sentence: `Docker version 1.2.3` is what scripts look for.
fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
