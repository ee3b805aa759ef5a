//! `search`: repositories in registries.

use wharf_api::Filters;
use wharf_api::image::SearchResult;

use super::{Credentials, Images, failure, runtime};
use crate::{Error, Result};

const DEFAULT_LIMIT: i64 = 25;

impl Images {
    /// Repositories that fit `term` and the filters `is-official`, `is-automated` and `stars` (the fewest), at most
    /// `limit` of them before filtering; 0 stands for 25.
    ///
    /// # Errors
    /// 400 for a limit or filter that makes no sense, 500 with the registry's failure.
    pub fn search(
        &self,
        term: &str,
        limit: i64,
        filters: &Filters,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<SearchResult>> {
        filters.validate(&["is-automated", "is-official", "stars"])?;
        let automated = switch(filters, "is-automated")?;
        let official = switch(filters, "is-official")?;
        let mut fewest = 0;
        for stars in filters.get("stars") {
            let count = stars.parse().map_err(|_| {
                let reason = format!("strconv.Atoi: parsing {stars:?}: invalid syntax");
                Error::invalid(format!("invalid filter 'stars={stars}': {reason}"))
            })?;
            fewest = fewest.max(count);
        }
        let limit = if limit == 0 { DEFAULT_LIMIT } else { limit };
        let bounded = usize::try_from(limit).ok().filter(|limit| (1..=100).contains(limit));
        let bounded = bounded
            .ok_or_else(|| Error::invalid(format!("limit {limit} is outside the range of [1, 100]")))?;
        let found = runtime()?.block_on(self.registry().search(term, bounded, credentials));
        let found = found.map_err(failure::registry)?;
        Ok(found
            .into_iter()
            .filter(|found| automated.is_none_or(|wanted| found.is_automated == wanted))
            .filter(|found| official.is_none_or(|wanted| found.is_official == wanted))
            .filter(|found| found.star_count >= fewest)
            .map(|found| SearchResult {
                star_count: found.star_count,
                is_official: found.is_official,
                name: found.name,
                is_automated: found.is_automated,
                description: found.description,
            })
            .collect())
    }
}

/// The value of a yes-or-no filter.
fn switch(filters: &Filters, key: &str) -> Result<Option<bool>> {
    let values: Vec<&str> = filters.get(key).collect();
    match values.as_slice() {
        [] => Ok(None),
        ["1" | "true"] => Ok(Some(true)),
        ["0" | "false"] => Ok(Some(false)),
        other => Err(Error::invalid(format!("invalid filter '{key}=[{}]'", other.join(" ")))),
    }
}
