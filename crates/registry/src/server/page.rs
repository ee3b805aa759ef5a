//! Pages for people: repositories, their tags, and what is in an image. Made here whole; there is no script in them.

use std::fmt::Write;

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use wharf_oci::Digest;
use wharf_oci::image::Descriptor;

use super::blocking;
use super::call::Call;
use super::document::Document;
use super::failure::{Failure, Result};
use super::listing;
use super::name::Name;
use super::reply::{self, Body};
use super::route::Reference;
use super::store::Store;

/// Rows of a table at most.
const ROWS: usize = 200;
/// Images of an index that are looked at for its size: an index may have thousands, and a page many of them.
const IMAGES: usize = 50;
/// Only our own style sheet, and nothing else that could run, load or frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// `GET /`.
pub(crate) async fn index(call: &Call) -> Result<Response<Body>> {
    let (store, last) = (call.registry.store.clone(), call.query("last").unwrap_or_default());
    let body = blocking::run(move || {
        let mut names = store.repositories_after(&last, ROWS + 1)?;
        let more = listing::cut(&mut names, ROWS);
        let mut rows = String::new();
        for name in &names {
            let tags = store.tags(name)?.len();
            let _ = write!(rows, "<tr><td><a href=\"/r/{0}\">{0}</a><td>{tags}", escape(name.as_str()));
        }
        let mut body = "<h1>Repositories</h1>".to_owned();
        body += &table(&["Name", "Tags"], &rows);
        if let Some(last) = names.last().filter(|_| more) {
            body += &next(&format!("/?last={}", encode(last.as_str())));
        }
        Ok(body)
    })
    .await?;
    Ok(page("Repositories", &body))
}

/// `GET /r/NAME`, and `?ref=` for one image.
pub(crate) async fn repository(call: &Call, name: Name) -> Result<Response<Body>> {
    let store = call.registry.store.clone();
    let (reference, last) = (call.query("ref"), call.query("last").unwrap_or_default());
    let title = name.to_string();
    let body = blocking::run(move || match reference {
        None => tags(&store, &name, &last),
        Some(text) => {
            let unknown = || Failure::manifest_unknown(&text);
            let digest = match Reference::parse(&text).ok_or_else(unknown)? {
                Reference::Digest(digest) => digest,
                Reference::Tag(tag) => store.tag(&name, &tag)?.ok_or_else(unknown)?,
            };
            image(&store, &name, &text, &digest)
        }
    })
    .await?;
    Ok(page(&title, &body))
}

/// `GET /style.css`.
pub(crate) fn style() -> Response<Body> {
    let mut response =
        reply::typed(StatusCode::OK, "text/css; charset=utf-8", include_str!("style.css").as_bytes());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
    response
}

fn tags(store: &Store, name: &Name, last: &str) -> Result<String> {
    if !store.has_repository(name)? {
        return Err(Failure::name_unknown(name));
    }
    let mut tags = store.tags_after(name, last, ROWS + 1)?;
    let more = listing::cut(&mut tags, ROWS);
    let mut rows = String::new();
    for tag in &tags {
        let Some(digest) = store.tag(name, tag)? else { continue };
        let size = match store.manifest(name, &digest)? {
            Some(data) => size_of(store, name, &data)?,
            None => 0,
        };
        let (link, tag) = (to_image(name, tag), escape(tag));
        let _ = write!(
            rows,
            "<tr><td><a href=\"{link}\">{tag}</a><td>{}<td><code>{}</code>",
            bytes(size),
            digest.short()
        );
    }
    let mut body = format!("<h1>{}</h1>", escape(name.as_str()));
    body += &table(&["Tag", "Size", "Digest"], &rows);
    if let Some(last) = tags.last().filter(|_| more) {
        body += &next(&format!("/r/{name}?last={}", encode(last)));
    }
    Ok(body)
}

/// Bytes of what a manifest describes; of an index, its first manifests.
fn size_of(store: &Store, name: &Name, data: &[u8]) -> Result<u64> {
    let Ok(document) = Document::parse(None, data) else { return Ok(0) };
    let mut size = document.size();
    for entry in document.manifests.iter().take(IMAGES) {
        if let Some(data) = store.manifest(name, &entry.digest)?
            && let Ok(document) = Document::parse(None, &data)
        {
            size = size.saturating_add(document.size());
        }
    }
    Ok(size)
}

fn image(store: &Store, name: &Name, reference: &str, digest: &Digest) -> Result<String> {
    let data = store.manifest(name, digest)?.ok_or_else(|| Failure::manifest_unknown(reference))?;
    let repository = escape(name.as_str());
    let mut body = format!(
        "<h1><a href=\"/r/{repository}\">{repository}</a> {}</h1><dl><dt>Digest<dd><code>{digest}</code>",
        escape(reference)
    );
    let document = match Document::parse(None, &data) {
        Ok(document) => document,
        Err(reason) => {
            let _ = write!(body, "</dl><p>This manifest cannot be shown: {}</p>", escape(&reason));
            return Ok(body);
        }
    };
    let _ = write!(body, "<dt>Type<dd>{}", escape(&document.media_type));
    if let Some(kind) = &document.artifact_type {
        let _ = write!(body, "<dt>Content<dd>{}", escape(kind));
    }
    if let Some(subject) = &document.subject {
        let _ = write!(body, "<dt>About<dd><a href=\"{}\">{subject}</a>", to_image(name, subject.as_str()));
    }
    let _ = write!(body, "<dt>Size<dd>{}</dl>", bytes(size_of(store, name, &data)?));
    if !document.manifests.is_empty() {
        let rows = document.manifests.iter().take(ROWS).map(|entry| manifest_row(name, entry));
        body +=
            &format!("<h2>Images</h2>{}", table(&["Platform", "Type", "Digest"], &rows.collect::<String>()));
        body += &left_out(document.manifests.len());
    }
    if !document.layers.is_empty() {
        let rows = document.layers.iter().take(ROWS).map(layer_row).collect::<String>();
        body += &format!("<h2>Layers</h2>{}", table(&["Digest", "Size", "Type"], &rows));
        body += &left_out(document.layers.len());
    }
    Ok(body)
}

/// How many rows a table would have more.
fn left_out(count: usize) -> String {
    match count.saturating_sub(ROWS) {
        0 => String::new(),
        more => format!("<p>and {more} more</p>"),
    }
}

fn manifest_row(name: &Name, entry: &Descriptor) -> String {
    let platform = entry.platform.as_ref().map(ToString::to_string).unwrap_or_default();
    format!(
        "<tr><td>{}<td>{}<td><a href=\"{}\"><code>{}</code></a>",
        escape(&platform),
        escape(&entry.media_type),
        to_image(name, entry.digest.as_str()),
        entry.digest.short()
    )
}

fn layer_row(layer: &Descriptor) -> String {
    format!(
        "<tr><td><code>{}</code><td>{}<td>{}",
        layer.digest.short(),
        bytes(layer.size),
        escape(&layer.media_type)
    )
}

fn page(title: &str, body: &str) -> Response<Body> {
    let html = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{} - registry</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><link rel=\"stylesheet\" href=\"/style.css\">\
         </head><body><nav><a href=\"/\">Registry</a></nav><main>{body}</main></body></html>\n",
        escape(title)
    );
    let mut response = reply::typed(StatusCode::OK, "text/html; charset=utf-8", html);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer"));
    response
}

fn table(columns: &[&str], rows: &str) -> String {
    let head: String = columns.iter().map(|column| format!("<th>{column}")).collect();
    format!("<table><thead><tr>{head}</thead><tbody>{rows}</tbody></table>")
}

fn next(link: &str) -> String {
    format!("<p><a rel=\"next\" href=\"{}\">More</a></p>", escape(link))
}

fn to_image(name: &Name, reference: &str) -> String {
    format!("/r/{name}?ref={}", encode(reference))
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// `12.3 MB`.
fn bytes(size: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if size < 1000 {
        return format!("{size} B");
    }
    let (mut unit, mut tenths) = (0, size / 100);
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        (unit, tenths) = (unit + 1, tenths / 1000);
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        assert_eq!(escape("<a href='x\"'>&"), "&lt;a href=&#39;x&quot;&#39;&gt;&amp;");
        assert_eq!(encode("sha256:a/b"), "sha256%3Aa%2Fb");
    }

    #[test]
    fn sizes() {
        let sizes = [0, 999, 1000, 12_345_678, 999_999, 5_000_000_000_000].map(bytes);
        assert_eq!(sizes, ["0 B", "999 B", "1.0 kB", "12.3 MB", "999.9 kB", "5.0 TB"]);
    }
}
