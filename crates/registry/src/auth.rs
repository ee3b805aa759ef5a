//! Challenges, basic authentication and bearer tokens.
//!
//! Token protocol: <https://distribution.github.io/distribution/spec/auth/token/>.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use serde::Deserialize;

use crate::endpoint::{self, Endpoint};
use crate::error::{Error, ErrorItem, Result};
use crate::failure;

/// A token without a stated life lasts this long.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// What token services know this program by.
const CLIENT_ID: &str = "wharf";

/// What a user logged in with.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Account.
    pub username: String,
    /// Password or access token.
    pub password: String,
    /// A refresh token that stands in for name and password.
    pub identity_token: String,
    /// A bearer token to send as it is.
    pub registry_token: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Whether nothing is in them.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn basic(&self) -> Option<String> {
        (!self.username.is_empty() || !self.password.is_empty())
            .then(|| format!("Basic {}", STANDARD.encode(format!("{}:{}", self.username, self.password))))
    }
}

/// One challenge of a `WWW-Authenticate` header (RFC 9110, section 11.6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// Lower case.
    scheme: String,
    /// Keys in lower case.
    parameters: HashMap<String, String>,
}

impl Challenge {
    /// Every challenge in `headers`.
    pub(crate) fn of(headers: &HeaderMap) -> Vec<Self> {
        headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .filter_map(Self::parse)
            .collect()
    }

    /// Reads `scheme key="value",key=value`. One challenge a header, as registries send it.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (scheme, mut rest) = text.split_once(' ').unwrap_or((text, ""));
        if scheme.is_empty() {
            return None;
        }
        let mut parameters = HashMap::new();
        while let Some((key, after)) = rest.split_once('=') {
            let key = key.trim_matches([' ', ',', '\t']).to_lowercase();
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => unquote(quoted),
                None => {
                    let end = after.find(',').unwrap_or(after.len());
                    (after[..end].trim().to_owned(), &after[end..])
                }
            };
            parameters.insert(key, value);
            rest = after;
        }
        Some(Self { scheme: scheme.to_lowercase(), parameters })
    }

    fn get(&self, key: &str) -> &str {
        self.parameters.get(key).map_or("", String::as_str)
    }

    /// The error a bearer challenge carries besides asking for a token (RFC 6750, section 3).
    pub(crate) fn refusal(&self) -> Option<ErrorItem> {
        let (code, message) = match (self.scheme.as_str(), self.get("error")) {
            ("bearer", "invalid_token") => ("UNAUTHORIZED", "authentication required"),
            ("bearer", "insufficient_scope") => ("DENIED", "requested access to the resource is denied"),
            _ => return None,
        };
        let said = self.get("error_description");
        let message = if said.is_empty() { message } else { said };
        // The detail is what makes the text come out in full.
        Some(ErrorItem { code: code.to_owned(), message: message.to_owned(), detail: Some(true.into()) })
    }
}

fn unquote(quoted: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}

/// What a repository's requests are signed with.
pub(crate) struct Authorizer {
    credentials: Option<Credentials>,
    /// `repository:library/x:pull` and so on.
    scopes: Vec<String>,
    /// Whether a refresh token is asked for.
    offline: bool,
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    challenges: Vec<Challenge>,
    token: Option<(String, Instant)>,
    refresh: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
    refresh_token: Option<String>,
}

impl Authorizer {
    pub(crate) fn new(credentials: Option<Credentials>, scopes: Vec<String>) -> Self {
        Self {
            credentials: credentials.filter(|c| !c.is_empty()),
            scopes,
            offline: false,
            state: tokio::sync::Mutex::default(),
        }
    }

    /// The same, which also asks for a refresh token to stand in for these credentials later.
    pub(crate) fn offline(mut self) -> Self {
        self.offline = true;
        self
    }

    /// The refresh token that came, if one did.
    pub(crate) async fn identity_token(&self) -> Option<String> {
        self.state.lock().await.refresh.clone()
    }

    /// Remembers what the registry asks for; a token it refused is forgotten. Returns whether there is an answer to it.
    pub(crate) async fn challenged(&self, challenges: Vec<Challenge>) -> bool {
        let answerable = challenges.iter().any(|challenge| self.can_answer(challenge));
        let mut state = self.state.lock().await;
        state.token = None;
        state.challenges = challenges;
        answerable
    }

    fn can_answer(&self, challenge: &Challenge) -> bool {
        match challenge.scheme.as_str() {
            "bearer" => !challenge.get("realm").is_empty(),
            "basic" => self.credentials.as_ref().is_some_and(|c| c.basic().is_some()),
            _ => false,
        }
    }

    /// The value of the `Authorization` header for the next request, if one is called for. A token is fetched when there
    /// is none or the last one is about to expire; parallel callers share it.
    pub(crate) async fn header(&self, http: &reqwest::Client, endpoint: &Endpoint) -> Result<Option<String>> {
        if let Some(token) =
            self.credentials.as_ref().map(|c| &c.registry_token).filter(|token| !token.is_empty())
        {
            return Ok(Some(format!("Bearer {token}")));
        }
        let mut state = self.state.lock().await;
        let Some(challenge) = state.challenges.iter().find(|challenge| self.can_answer(challenge)).cloned()
        else {
            let basic = !state.challenges.is_empty() && state.challenges.iter().all(|c| c.scheme == "basic");
            return if basic { Err(Error::NoCredentials) } else { Ok(None) };
        };
        if challenge.scheme == "basic" {
            return Ok(self.credentials.as_ref().and_then(Credentials::basic));
        }
        if let Some((token, expires)) = &state.token
            && *expires > Instant::now()
        {
            return Ok(Some(format!("Bearer {token}")));
        }
        let realm = self.realm(&challenge, endpoint)?;
        let (token, life) = self.fetch(http, realm, &challenge, &mut state.refresh).await?;
        let header = format!("Bearer {token}");
        // Renewed a little early: the registry's clock decides.
        state.token = Some((token, Instant::now() + life.mul_f32(0.9)));
        Ok(Some(header))
    }

    /// Where the token service is. What is asked for over a private connection does not go out over an open one.
    fn realm(&self, challenge: &Challenge, endpoint: &Endpoint) -> Result<Url> {
        let realm = challenge.get("realm");
        let bad = || Error::Address(realm.to_owned());
        let url = Url::parse(realm).map_err(|_| bad())?;
        let refuse = |reason: &str| {
            Err(Error::NotFollowed { verb: "Get", url: url.to_string(), reason: reason.to_owned() })
        };
        if endpoint.is_private() && url.scheme() != "https" && self.credentials.is_some() {
            return refuse("refusing to send credentials by plain HTTP");
        }
        if endpoint::is_lured(&Url::parse(&endpoint.base).map_err(|_| bad())?, &url) {
            return refuse("refusing to ask a link-local address for a token");
        }
        Ok(url)
    }

    /// Asks the token service; returns the token and its life. A refresh token that comes with it is kept.
    async fn fetch(
        &self,
        http: &reqwest::Client,
        url: Url,
        challenge: &Challenge,
        refresh: &mut Option<String>,
    ) -> Result<(String, Duration)> {
        let request = self.token_request(http, &url, challenge);
        let response = match request.timeout(Duration::from_secs(30)).send().await {
            Ok(response) => response,
            Err(error) => return Err(failure::transport("Get", &url, &error).await),
        };
        if !response.status().is_success() {
            return Err(failure::answer(response).await);
        }
        let body = failure::body(response).await;
        let answer: TokenAnswer = serde_json::from_str(&body)
            .map_err(|error| Error::Token(format!("unable to decode token response: {error}")))?;
        let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
        let Some(token) = token else {
            return Err(Error::Token(
                "authorization server did not include a token in the response".to_owned(),
            ));
        };
        if let Some(token) = answer.refresh_token.filter(|token| !token.is_empty()) {
            *refresh = Some(token);
        }
        let life = answer.expires_in.map_or(DEFAULT_LIFE, |s| Duration::from_secs(s).max(DEFAULT_LIFE));
        Ok((token, life))
    }

    /// A refresh token is handed in as OAuth 2 has it (RFC 6749, section 6), name and password as basic authentication.
    fn token_request(
        &self,
        http: &reqwest::Client,
        url: &Url,
        challenge: &Challenge,
    ) -> reqwest::RequestBuilder {
        let service = challenge.get("service");
        let mut scopes: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        let asked = challenge.get("scope").split(' ').filter(|scope| !scope.is_empty());
        scopes.extend(asked.filter(|asked| !self.scopes.iter().any(|own| own == asked)));
        if let Some(token) = self.credentials.as_ref().map(|c| &c.identity_token).filter(|t| !t.is_empty()) {
            let scope = scopes.join(" ");
            let form = [
                ("grant_type", "refresh_token"),
                ("refresh_token", token),
                ("service", service),
                ("client_id", CLIENT_ID),
                ("scope", &scope),
            ];
            return http
                .post(url.clone())
                .header("content-type", "application/x-www-form-urlencoded")
                .body(encode_form(&form));
        }
        let mut url = url.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(c) = self.credentials.as_ref().filter(|c| !c.username.is_empty()) {
                query.append_pair("account", &c.username);
            }
            for scope in &scopes {
                query.append_pair("scope", scope);
            }
            if !service.is_empty() {
                query.append_pair("service", service);
            }
            if self.offline {
                query.append_pair("offline_token", "true").append_pair("client_id", CLIENT_ID);
            }
        }
        let request = http.get(url);
        match self.credentials.as_ref().and_then(Credentials::basic) {
            Some(basic) => request.header(AUTHORIZATION, basic),
            None => request,
        }
    }
}

fn encode_form(pairs: &[(&str, &str)]) -> String {
    let mut url = Url::parse("http://localhost/").unwrap_or_else(|_| unreachable!("a constant"));
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn credentials_do_not_go_where_the_registry_should_not_send_them() {
        let asks = |realm: &str, base: &str, verify: bool, name: &str| {
            let endpoint = Endpoint {
                base: base.to_owned(),
                host: String::new(),
                verify,
                loopback: false,
                mirror: false,
            };
            let credentials = Credentials { username: name.to_owned(), ..Credentials::default() };
            let challenge = Challenge::parse(&format!("Bearer realm=\"{realm}\"")).unwrap();
            Authorizer::new(Some(credentials), Vec::new()).realm(&challenge, &endpoint).is_ok()
        };
        let (open, private) = ("http://auth.example/token", "https://auth.example/token");
        assert!(asks(private, "https://r.example", true, "me"));
        assert!(!asks(open, "https://r.example", true, "me"));
        // There is nothing to lose, or it was in the open anyway.
        assert!(asks(open, "https://r.example", true, ""));
        assert!(asks(open, "https://r.example", false, "me"));
        assert!(asks(open, "http://r.example", true, "me"));
        assert!(!asks("http://169.254.169.254/", "http://r.example", false, ""));
    }

    #[test]
    fn challenges_are_read() {
        let c = Challenge::parse(
            r#"Bearer realm="https://auth.example/token",service="reg, one",scope="repository:a/b:pull,push",error="invalid_token""#,
        )
        .unwrap();
        assert_eq!(c.scheme, "bearer");
        assert_eq!(c.get("realm"), "https://auth.example/token");
        assert_eq!(c.get("service"), "reg, one");
        assert_eq!(c.get("scope"), "repository:a/b:pull,push");
        assert_eq!(c.refusal().unwrap().to_string(), "unauthorized: authentication required");
        let c = Challenge::parse(r#"Basic realm=x, charset="UTF\"8""#).unwrap();
        assert_eq!((c.scheme.as_str(), c.get("realm"), c.get("charset")), ("basic", "x", "UTF\"8"));
    }

    #[test]
    fn forms_are_escaped() {
        assert_eq!(encode_form(&[("a", "x y&z"), ("b", "ä")]), "a=x+y%26z&b=%C3%A4");
    }

    proptest! {
        #[test]
        fn parsing_a_challenge_never_panics(text in "\\PC{0,60}") {
            let _ = Challenge::parse(&text);
        }

        #[test]
        fn quoted_values_come_back(value in "[ -~]{0,20}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let challenge = Challenge::parse(&format!("Bearer k=\"{quoted}\",last=1")).unwrap();
            prop_assert_eq!(challenge.get("k"), value);
            prop_assert_eq!(challenge.get("last"), "1");
        }
    }
}
