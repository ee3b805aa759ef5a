//! The checks by their published names.

macro_rules! rules {
    ($($variant:ident $name:literal $page:literal $description:literal,)*) => {
        /// A build check.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Rule {
            $(#[doc = $description] $variant,)*
        }

        impl Rule {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Published name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it is about.
            pub fn description(self) -> &'static str {
                match self { $(Self::$variant => $description,)* }
            }

            /// Page that explains it.
            pub fn url(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("https://docs.docker.com/go/dockerfile/rule/", $page, "/"),)*
                }
            }
        }
    };
}

rules! {
    StageNameCasing "StageNameCasing" "stage-name-casing" "Stage names should be lowercase",
    FromAsCasing "FromAsCasing" "from-as-casing" "The 'as' keyword should match the case of the 'from' keyword",
    NoEmptyContinuation "NoEmptyContinuation" "no-empty-continuation"
        "Empty continuation lines will become errors in a future release",
    ConsistentInstructionCasing "ConsistentInstructionCasing" "consistent-instruction-casing"
        "All commands within the Dockerfile should use the same casing (either upper or lower)",
    DuplicateStageName "DuplicateStageName" "duplicate-stage-name" "Stage names should be unique",
    ReservedStageName "ReservedStageName" "reserved-stage-name" "Reserved words should not be used as stage names",
    JsonArgsRecommended "JSONArgsRecommended" "json-args-recommended"
        "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
    MaintainerDeprecated "MaintainerDeprecated" "maintainer-deprecated"
        "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    UndefinedArgInFrom "UndefinedArgInFrom" "undefined-arg-in-from" "FROM command must use declared ARGs",
    WorkdirRelativePath "WorkdirRelativePath" "workdir-relative-path"
        "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
    UndefinedVar "UndefinedVar" "undefined-var" "Variables should be defined before their use",
    MultipleInstructionsDisallowed "MultipleInstructionsDisallowed" "multiple-instructions-disallowed"
        "Multiple instructions of the same type should not be used in the same stage",
    LegacyKeyValueFormat "LegacyKeyValueFormat" "legacy-key-value-format"
        "Legacy key/value format with whitespace separator should not be used",
    RedundantTargetPlatform "RedundantTargetPlatform" "redundant-target-platform"
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    SecretsUsedInArgOrEnv "SecretsUsedInArgOrEnv" "secrets-used-in-arg-or-env"
        "Sensitive data should not be used in the ARG or ENV commands",
    InvalidDefaultArgInFrom "InvalidDefaultArgInFrom" "invalid-default-arg-in-from"
        "Default value for global ARG results in an empty or invalid base image name",
    FromPlatformFlagConstDisallowed "FromPlatformFlagConstDisallowed" "from-platform-flag-const-disallowed"
        "FROM --platform flag should not use a constant value",
    CopyIgnoredFile "CopyIgnoredFile" "copy-ignored-file" "Attempting to Copy file that is excluded by .dockerignore",
    InvalidDefinitionDescription "InvalidDefinitionDescription" "invalid-definition-description"
        "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
    ExposeProtoCasing "ExposeProtoCasing" "expose-proto-casing" "Protocol in EXPOSE instruction should be lowercase",
    ExposeInvalidFormat "ExposeInvalidFormat" "expose-invalid-format"
        "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
    InvalidBaseImagePlatform "InvalidBaseImagePlatform" "" "Base image platform does not match expected target platform",
}

impl Rule {
    /// Whether it is off unless asked for.
    pub fn is_experimental(self) -> bool {
        matches!(self, Self::InvalidDefinitionDescription)
    }

    /// The check with a published name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.name() == name)
    }
}

const SECRET: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];

/// Whether the name of a variable sounds like a secret: one of its words does, and none says that it is public.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let mut words = name.split('_');
    words.clone().any(|word| SECRET.contains(&word)) && !words.any(|word| word == "public")
}
