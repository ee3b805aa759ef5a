//! What else registries are asked: whether credentials are good, and what a name stands for.

use wharf_api::image::{Descriptor, DistributionInspect, Platform as ApiPlatform};
use wharf_oci::image::{Document, ImageConfig};
use wharf_oci::{Platform, Reference};

use super::{Credentials, Images, failure, runtime};
use crate::{Error, Result};

const HUB: &str = "docker.io";

impl Images {
    /// Checks credentials with the registry at `address`: a host, or a URL as old configuration files have it. Empty means
    /// Docker Hub. Returns the identity token that stands in for them from now on, if there is one.
    ///
    /// # Errors
    /// 500 with Docker's words when the registry does not let them in or does not answer.
    pub fn login(&self, address: &str, credentials: &Credentials) -> Result<Option<String>> {
        let host = address.split_once("://").map_or(address, |(_, rest)| rest);
        let host = match host.split('/').next().unwrap_or_default() {
            "" | "index.docker.io" | "registry-1.docker.io" => HUB,
            host => host,
        };
        runtime()?.block_on(self.registry().login(host, credentials)).map_err(failure::registry)
    }

    /// What the registry has under `reference`, and for which platforms.
    ///
    /// # Errors
    /// Those of the registry.
    pub fn distribution(
        &self,
        reference: &Reference,
        credentials: Option<&Credentials>,
    ) -> Result<DistributionInspect> {
        let nothing = |_: &wharf_oci::Digest| None;
        let (fetched, platforms) = runtime()?
            .block_on(async {
                let (repository, fetched) = self.registry().resolve(reference, credentials, &nothing).await?;
                let platforms = match &fetched.document {
                    Document::Index(index) => {
                        index.manifests.iter().filter_map(|entry| entry.platform.clone()).collect()
                    }
                    Document::Manifest(manifest) => {
                        let config = repository.small_blob(&manifest.config).await?;
                        ImageConfig::parse(&config).map(|config| vec![config.platform()]).unwrap_or_default()
                    }
                };
                Ok((fetched, platforms))
            })
            .map_err(failure::registry)?;
        let size =
            i64::try_from(fetched.descriptor.size).map_err(|error| Error::system(error.to_string()))?;
        Ok(DistributionInspect {
            descriptor: Descriptor {
                media_type: fetched.descriptor.media_type,
                digest: fetched.descriptor.digest.to_string(),
                size,
                ..Descriptor::default()
            },
            platforms: Some(platforms.into_iter().map(api_platform).collect()),
        })
    }
}

fn api_platform(platform: Platform) -> ApiPlatform {
    ApiPlatform {
        architecture: platform.architecture,
        os: platform.os,
        os_version: platform.os_version,
        os_features: platform.os_features,
        variant: platform.variant,
    }
}
