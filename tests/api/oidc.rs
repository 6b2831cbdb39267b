//! People whom a provider signs in: from a browser's first request to its session, and everything that must not get there.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ade_test_support::provider::{CLIENT, Provider, SECRET, Signed, Trouble, challenge_of, pairs};

use crate::sign_in::{make_key, with_key};
use crate::support::{Request, Response, TestApp, Value, json, wait_until};

const PUBLIC_URL: &str = "https://ade.example.org";
const BEGIN: &str = "/api/v1/session/oidc";
const DESCRIPTION: &str = "/.well-known/openid-configuration";

/// A service whose people are signed in by this provider.
pub fn app(provider: &Provider, groups: &str, more: &[(&str, &str)]) -> TestApp {
    let issuer = provider.issuer();
    let settings = [
        ("ADE_AUTH", "on"),
        ("ADE_OIDC_ISSUER", issuer.as_str()),
        ("ADE_OIDC_CLIENT_ID", CLIENT),
        ("ADE_OIDC_CLIENT_SECRET", SECRET),
        ("ADE_PUBLIC_URL", PUBLIC_URL),
        ("ADE_OIDC_GROUPS", groups),
    ];
    TestApp::with(&[&settings[..], more].concat())
}

/// What a browser keeps of cookies. It shows a name that begins with `__Host-` as any other.
#[derive(Default)]
pub struct Browser {
    cookies: RefCell<BTreeMap<String, String>>,
}

impl Browser {
    #[track_caller]
    pub fn send(&self, app: &TestApp, request: Request) -> Response {
        let cookies: Vec<_> = self.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = if cookies.is_empty() { request } else { request.header("Cookie", cookies.join("; ")) };
        let answer = request.send(app.address).unwrap();
        for (_, text) in answer.head.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            match value {
                "" => self.cookies.borrow_mut().remove(name),
                value => self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }

    #[track_caller]
    fn get(&self, app: &TestApp, path: &str) -> Response {
        self.send(app, Request::get(path))
    }

    /// Where the service sends the browser.
    #[track_caller]
    fn begin(&self, app: &TestApp, query: &str) -> String {
        let answer = self.get(app, &format!("{BEGIN}{query}")).expect(303);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        answer.header("location").unwrap().to_owned()
    }

    /// To the provider, and back to a path of the service that is still to be asked.
    #[track_caller]
    fn visit(&self, app: &TestApp, provider: &Provider, query: &str) -> String {
        let back = provider.visit(&self.begin(app, query));
        back.strip_prefix(PUBLIC_URL).unwrap_or_else(|| panic!("{back}")).to_owned()
    }

    /// The whole way.
    #[track_caller]
    pub fn sign_in(&self, app: &TestApp, provider: &Provider) -> Response {
        let back = self.visit(app, provider, "");
        self.get(app, &back)
    }

    #[track_caller]
    pub fn shown(&self, app: &TestApp) -> Value {
        self.get(app, "/api/v1/session").expect(200).json()
    }
}

#[track_caller]
pub fn signed_in(app: &TestApp, provider: &Provider) -> Browser {
    let browser = Browser::default();
    browser.sign_in(app, provider).expect(303);
    browser
}

#[test]
fn a_person_signs_in_with_what_its_group_allows_and_out_again() {
    let provider = Provider::start();
    let app = app(&provider, "staff=operator,others=admin", &[]);
    let browser = Browser::default();
    let back = browser.visit(&app, &provider, "?return_to=/runs%3Fpage=2");
    let answer = browser.get(&app, &back).expect(303);
    assert_eq!(answer.header("location"), Some("/runs?page=2"));
    let cookies: Vec<_> =
        answer.head.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")).collect();
    let session = cookies.iter().find(|(_, text)| text.starts_with("ade_session=ades_")).unwrap();
    for attribute in ["; Path=/", "; HttpOnly", "; SameSite=Strict", "; Secure", "; Max-Age=43200"] {
        assert!(session.1.contains(attribute), "{session:?}");
    }

    let shown = browser.shown(&app);
    for (member, expected) in [
        ("via", json!("session")),
        ("name", json!("Ada Lovelace")),
        ("role", json!("operator")),
        ("workspaces", Value::Null),
        ("key_id", Value::Null),
        ("issuer", json!(provider.issuer())),
        ("subject", json!("s-1")),
    ] {
        assert_eq!(shown[member], expected, "{member}: {shown}");
    }
    let create = || Request::post("/api/v1/workspaces").json(&json!({"name": "Acme"}));
    browser.send(&app, create()).problem(403, "csrf_token_required");
    let token = shown["csrf_token"].as_str().unwrap();
    browser.send(&app, create().header("X-CSRF-Token", token)).expect(201);
    browser.send(&app, Request::get("/api/v1/api-keys")).problem(403, "role_required");

    let out = Request::new("DELETE", "/api/v1/session").header("X-CSRF-Token", token);
    let before = browser.cookies.borrow().clone();
    browser.send(&app, out).expect(204);
    *browser.cookies.borrow_mut() = before;
    browser.get(&app, "/api/v1/session").problem(401, "credentials_refused");
}

#[test]
fn what_goes_to_the_provider_and_stays_with_the_browser_says_nothing_of_each_other() {
    let provider = Provider::start();
    let app = app(&provider, "staff=viewer", &[]);
    let answer = Browser::default().get(&app, BEGIN).expect(303);
    let url = answer.header("location").unwrap();
    let asked = pairs(url.split_once('?').unwrap().1);
    assert_eq!(asked["redirect_uri"], format!("{PUBLIC_URL}/api/v1/session/oidc/callback"), "never by Host");
    assert_eq!((asked["scope"].as_str(), asked["code_challenge_method"].as_str()), ("openid profile email", "S256"));
    assert!(!url.contains(SECRET));
    let cookie = answer.header("set-cookie").unwrap();
    for attribute in ["__Host-ade_oidc=", "; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure", "; Max-Age=600"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    for secret in [&asked["state"], &asked["nonce"], &asked["code_challenge"]] {
        assert!(secret.len() == 43 && !cookie.contains(secret.as_str()), "{cookie}");
    }
    let second = Browser::default().begin(&app, "");
    assert_ne!(pairs(second.split_once('?').unwrap().1)["state"], asked["state"]);
}

#[test]
fn only_the_browser_that_began_comes_back_and_only_once() {
    let provider = Provider::start();
    let app = app(&provider, "staff=viewer", &[]);
    let refused = |answer: Response| {
        assert!(!answer.to_string().contains("ade_session"), "{answer}");
        answer.problem(400, "sign_in_not_begun")
    };
    let browser = Browser::default();
    let back = browser.visit(&app, &provider, "");
    refused(Browser::default().get(&app, &back));
    let another = Browser::default();
    another.begin(&app, "");
    refused(another.get(&app, &back));
    refused(another.get(&app, "/api/v1/session/oidc/callback?code=code-0"));
    let kept = browser.cookies.borrow().clone();
    browser.get(&app, &back).expect(303);
    // The cookie is gone, and it would not help: nor would another code.
    assert!(!browser.cookies.borrow().contains_key("__Host-ade_oidc"));
    refused(browser.get(&app, &back));
    *browser.cookies.borrow_mut() = kept.clone();
    refused(browser.get(&app, &back));
    let state = back.split_once("state=").unwrap().1;
    *browser.cookies.borrow_mut() = kept;
    refused(browser.get(&app, &format!("/api/v1/session/oidc/callback?code=code-9&state={state}")));
    assert_eq!(provider.asked("/token"), 1, "nobody else's code went to the provider");

    let browser = Browser::default();
    browser.begin(&app, "");
    browser.cookies.borrow_mut().values_mut().for_each(|value| value.push('x'));
    refused(browser.get(&app, &back));
}

#[test]
fn a_code_is_good_with_its_own_verifier_only_and_once() {
    let provider = Provider::start();
    let app = app(&provider, "staff=viewer", &[]);
    let come_back = |code: &str| {
        let browser = Browser::default();
        let state = pairs(browser.begin(&app, "").split_once('?').unwrap().1)["state"].clone();
        browser.get(&app, &format!("/api/v1/session/oidc/callback?code={code}&state={state}"))
    };
    // Somebody else's code, pushed into this browser.
    let theirs =
        provider.code_for(&challenge_of(&"v".repeat(43)), "n", &format!("{PUBLIC_URL}/api/v1/session/oidc/callback"));
    assert_eq!(come_back(&theirs).problem(403, "sign_in_refused")["reason"], "invalid_grant");

    let browser = Browser::default();
    let back = browser.visit(&app, &provider, "");
    let code = pairs(back.split_once('?').unwrap().1)["code"].clone();
    browser.get(&app, &back).expect(303);
    assert_eq!(come_back(&code).problem(403, "sign_in_refused")["reason"], "invalid_grant", "used before");
}

#[test]
fn a_token_that_is_not_right_signs_nobody_in() {
    let provider = Provider::start();
    let app = app(&provider, "staff=viewer", &[]);
    let now = chrono::Utc::now().timestamp();
    for claims in [
        json!({"nonce": "another"}),
        json!({"nonce": null}),
        json!({"iss": "https://evil.example"}),
        json!({"iss": format!("{}/", provider.issuer())}),
        json!({"aud": "another"}),
        json!({"aud": []}),
        json!({"aud": [CLIENT, "another"]}),
        json!({"aud": null}),
        json!({"azp": "another"}),
        json!({"exp": now - 120}),
        json!({"exp": null}),
        json!({"iat": now + 300}),
        json!({"iat": now - 3600}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": "x".repeat(300)}),
    ] {
        provider.script(|script| {
            script.claims = json!({"sub": "s-1", "groups": ["staff"]});
            script.claims.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        });
        let answer = Browser::default().sign_in(&app, &provider);
        assert!(!answer.to_string().contains("ade_session"), "{claims}: {answer}");
        assert_eq!(answer.status(), 502, "{claims}: {answer}");
        let problem = answer.problem(502, "provider_untrusted");
        assert!(!problem.to_string().contains("evil.example"), "what is wrong is for the log: {problem}");
    }
    // A clock that is a little wrong is none of these.
    provider
        .script(|script| script.claims = json!({"sub": "s-1", "groups": ["staff"], "exp": now - 10, "iat": now + 20}));
    signed_in(&app, &provider);
    provider.script(|script| script.claims = json!({"sub": "s-1", "groups": ["staff"], "azp": CLIENT}));
    signed_in(&app, &provider);
}

#[test]
fn a_token_is_signed_by_a_key_of_the_provider() {
    let provider = Provider::start();
    let app = app(&provider, "staff=viewer", &[]);
    for signed in [Signed::Not, Signed::BySecret, Signed::Forged, Signed::By(1)] {
        provider.script(|script| script.signed = signed);
        Browser::default().sign_in(&app, &provider).problem(502, "provider_untrusted");
    }
    provider.script(|script| script.signed = Signed::By(0));
    signed_in(&app, &provider);
}

#[test]
fn keys_are_fetched_again_when_there_is_a_new_one_and_not_without_end() {
    let provider = Provider::start();
    let app = app(&provider, "staff=viewer", &[]);
    signed_in(&app, &provider);
    signed_in(&app, &provider);
    assert_eq!((provider.asked(DESCRIPTION), provider.asked("/keys")), (1, 1), "kept");
    provider.script(|script| (script.signed, script.published) = (Signed::By(1), vec![1]));
    signed_in(&app, &provider);
    signed_in(&app, &provider);
    assert_eq!((provider.asked(DESCRIPTION), provider.asked("/keys")), (1, 2));
    // The old key is gone.
    provider.script(|script| script.signed = Signed::By(0));
    for _ in 0..20 {
        Browser::default().sign_in(&app, &provider).problem(502, "provider_untrusted");
    }
    assert!(provider.asked("/keys") <= 6, "{}", provider.asked("/keys"));
    provider.script(|script| script.signed = Signed::By(1));
    signed_in(&app, &provider);
}

#[test]
fn the_service_works_without_its_provider_and_people_sign_in_when_it_is_back() {
    let provider = Provider::start();
    provider.script(|script| _ = script.troubles.insert(DESCRIPTION, Trouble::HangUp));
    let app = app(&provider, "staff=viewer", &[]);
    app.get("/api/v1/workspaces").expect(200);
    Request::get("/health/ready").send(app.address).unwrap().expect(200);
    let away = Browser::default().get(&app, BEGIN);
    assert!(away.header("retry-after").is_some());
    let away = away.problem(503, "provider_unavailable");
    assert!(!away.to_string().contains(&provider.issuer()), "{away}");
    for _ in 0..10 {
        Browser::default().get(&app, BEGIN).problem(503, "provider_unavailable");
    }
    assert!(provider.asked(DESCRIPTION) < 10, "it is not asked again at once");
    provider.script(|script| script.troubles.clear());
    wait_until("the provider is asked again", || Browser::default().get(&app, BEGIN).status() == 303);
    signed_in(&app, &provider);

    // It goes away while somebody is there.
    let browser = Browser::default();
    let back = browser.visit(&app, &provider, "");
    provider.script(|script| _ = script.troubles.insert("/token", Trouble::Status("503 Service Unavailable")));
    browser.get(&app, &back).problem(503, "provider_unavailable");
}

#[test]
fn an_address_at_which_nobody_listens_is_no_trouble_for_the_start() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let issuer = format!("http://{nobody}");
    let app = app(&Provider::start(), "staff=viewer", &[("ADE_OIDC_ISSUER", &issuer)]);
    Browser::default().get(&app, BEGIN).problem(503, "provider_unavailable");
}

#[test]
fn answers_without_end_and_without_sense_are_given_up() {
    const HUGE: Trouble = Trouble::Huge(10 << 20);
    for (path, trouble, code) in [
        (DESCRIPTION, HUGE, (503, "provider_unavailable")),
        (DESCRIPTION, Trouble::Huge(10), (502, "provider_untrusted")),
        (DESCRIPTION, Trouble::Status("404 Not Found"), (503, "provider_unavailable")),
        ("/keys", HUGE, (503, "provider_unavailable")),
    ] {
        let provider = Provider::start();
        provider.script(|script| _ = script.troubles.insert(path, trouble));
        let app = app(&provider, "staff=viewer", &[]);
        Browser::default().get(&app, BEGIN).problem(code.0, code.1);
    }
    for (trouble, code) in [
        (HUGE, (503, "provider_unavailable")),
        (Trouble::Huge(10), (502, "provider_untrusted")),
        (Trouble::HangUp, (503, "provider_unavailable")),
    ] {
        let provider = Provider::start();
        let app = app(&provider, "staff=viewer", &[]);
        provider.script(|script| _ = script.troubles.insert("/token", trouble));
        Browser::default().sign_in(&app, &provider).problem(code.0, code.1);
    }
}

#[test]
fn a_provider_that_says_it_is_another_is_not_believed() {
    let provider = Provider::start();
    provider.script(|script| script.issuer = Some("https://evil.example".into()));
    let app = app(&provider, "staff=viewer", &[]);
    Browser::default().get(&app, BEGIN).problem(502, "provider_untrusted");

    let provider = Provider::start();
    let app = self::app(&provider, "staff=viewer", &[]);
    let browser = Browser::default();
    let back = browser.visit(&app, &provider, "");
    browser.get(&app, &format!("{back}&iss=https%3A%2F%2Fevil.example")).problem(502, "provider_untrusted");
}

#[test]
fn what_the_provider_or_the_person_refuses_is_told() {
    let provider = Provider::start();
    let app = app(&provider, "staff=viewer", &[]);
    provider.script(|script| script.refuses = Some("access_denied"));
    assert_eq!(Browser::default().sign_in(&app, &provider).problem(403, "sign_in_refused")["reason"], "access_denied");
    // Whatever else somebody puts there is not repeated.
    provider.script(|script| script.refuses = Some("%3Cscript%3E"));
    assert_eq!(Browser::default().sign_in(&app, &provider).problem(403, "sign_in_refused")["reason"], "unknown");
}

#[test]
fn whoever_is_in_no_group_is_told_so_and_its_earlier_sessions_end() {
    let provider = Provider::start();
    let app = app(&provider, "staff=viewer", &[]);
    let earlier = signed_in(&app, &provider);
    for groups in [json!(["others"]), json!([]), Value::Null, json!("staffs"), json!({"staff": true})] {
        provider.script(|script| script.claims = json!({"sub": "s-1", "name": "<b>Ada</b>", "groups": groups}));
        let problem = Browser::default().sign_in(&app, &provider).problem(403, "no_group");
        assert_eq!(problem["subject"], "s-1", "{groups}");
    }
    earlier.get(&app, "/api/v1/session").problem(401, "credentials_refused");

    let browser = Browser::default();
    let back = browser.visit(&app, &provider, "");
    let page = browser.send(&app, Request::get(&back).header("Accept", "text/html,*/*;q=0.8")).expect(403);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'self'"));
    let text = page.text();
    assert!(text.contains("&lt;b&gt;Ada&lt;/b&gt;") && !text.contains("<b>") && text.contains(BEGIN), "{text}");

    provider.script(|script| script.claims = json!({"sub": "s-1", "groups": ["staff"]}));
    signed_in(&app, &provider);
}

#[test]
fn another_role_at_the_next_sign_in_counts_for_all_sessions_and_cuts_off_what_goes_on() {
    let provider = Provider::start();
    let app = app(&provider, "staff=viewer,root=admin", &[]);
    let project = app.project();
    provider.script(|script| script.claims["groups"] = json!(["staff", "root"]));
    let first = signed_in(&app, &provider);
    assert_eq!(first.shown(&app)["role"], "admin");
    let cookie = first.cookies.borrow()["ade_session"].clone();
    let stream = Request::get(format!("{}/stream", project.feed())).header("Cookie", format!("ade_session={cookie}"));
    let mut stream = stream.open(app.address).unwrap();
    assert_eq!(stream.head.status, 200);
    provider.script(|script| script.claims["groups"] = json!(["staff"]));
    signed_in(&app, &provider);
    assert_eq!(first.shown(&app)["role"], "viewer");
    let ended = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
    assert!(ended.is_err(), "cut off: {ended:?}");
    // A browser that shows its session on the way back is signed in anew, and not cut off with the rest.
    provider.script(|script| script.claims["groups"] = json!(["root"]));
    first.sign_in(&app, &provider).expect(303);
    assert_eq!(first.shown(&app)["role"], "admin");
}

#[test]
fn everybody_is_told_who_signs_people_in() {
    let provider = Provider::start();
    let told = |app: &TestApp| Request::get("/api/v1/session/providers").send(app.address).unwrap().expect(200).json();
    let host = provider.issuer().trim_start_matches("http://").to_owned();
    let expected = |name: &str| json!({"items": [{"name": name, "begin": BEGIN}]});
    assert_eq!(told(&app(&provider, "staff=viewer", &[])), expected(&host));
    assert_eq!(told(&app(&provider, "staff=viewer", &[("ADE_OIDC_NAME", "Acme")])), expected("Acme"));
    assert_eq!(told(&TestApp::with(&[("ADE_AUTH", "on")])), json!({"items": []}));
    assert_eq!(provider.asked(DESCRIPTION), 0, "the provider is not asked");
}

#[test]
fn a_group_is_bound_to_workspaces_and_a_ticket_ends_with_its_session() {
    let provider = Provider::start();
    let [mine, other] = ["ws_01J00000000000000000000001", "ws_01J00000000000000000000002"];
    let app = app(&provider, &format!("staff=operator:{mine}"), &[]);
    for (id, slug) in [(mine, "mine"), (other, "other")] {
        let columns = "insert into workspaces (id, name, slug, created_at) values ";
        app.change_database(&format!("{columns}('{id}', '{slug}', '{slug}', '2026-01-01 00:00:00+00:00')"));
    }
    let browser = signed_in(&app, &provider);
    let shown = browser.shown(&app);
    assert_eq!(shown["workspaces"], json!([mine]));
    browser.get(&app, &format!("/api/v1/workspaces/{mine}")).expect(200);
    browser.get(&app, &format!("/api/v1/workspaces/{other}")).problem(404, "not_found");
    browser.get(&app, "/metrics").problem(403, "all_workspaces_required");
    let token = shown["csrf_token"].as_str().unwrap();
    let ask = Request::post("/api/v1/stream-tickets").json(&json!({"stream": mine})).header("X-CSRF-Token", token);
    let ticket = browser.send(&app, ask).expect(201).json()["ticket"].as_str().unwrap().to_owned();
    let events = Request::get(format!("/api/v1/workspaces/{mine}/events?ticket={ticket}"));
    events.send(app.address).unwrap().expect(200);
    browser.send(&app, Request::new("DELETE", "/api/v1/session").header("X-CSRF-Token", token)).expect(204);
    events.send(app.address).unwrap().problem(401, "credentials_refused");
}

#[test]
fn events_and_the_audit_log_say_who_it_was() {
    let provider = Provider::start();
    let app = app(&provider, "staff=operator", &[]);
    let project = app.project();
    let run = app.held_run(&project);
    let browser = signed_in(&app, &provider);
    let token = browser.shown(&app)["csrf_token"].as_str().unwrap().to_owned();
    let cancel = Request::post(format!("/api/v1/runs/{run}/cancel")).header("X-CSRF-Token", &token);
    assert!(matches!(browser.send(&app, cancel).status(), 200 | 202));
    app.finish_run(&run);
    let events = app.run_events(&run);
    let cancelling = events.iter().find(|event| event["type"] == "run.cancelling").unwrap();
    let person = json!({"key_id": null, "name": "Ada Lovelace", "issuer": provider.issuer(), "subject": "s-1"});
    assert_eq!(cancelling["payload"]["requested_by"], person);

    let entries = app.get("/api/v1/audit?after_sequence=0&limit=1000").expect(200).json();
    let of_person = |entry: &&Value| entry["actor"]["subject"] == "s-1";
    let entries: Vec<_> = entries["items"].as_array().unwrap().iter().filter(of_person).collect();
    let seen: Vec<_> =
        entries.iter().map(|entry| (entry["method"].as_str().unwrap(), entry["path"].as_str().unwrap())).collect();
    let path = format!("/api/v1/runs/{run}/cancel");
    assert_eq!(seen, [("GET", "/api/v1/session/oidc/callback"), ("POST", path.as_str())]);
    let actor = json!({"name": "Ada Lovelace", "key_id": null, "issuer": provider.issuer(), "subject": "s-1", "role": "operator"});
    assert_eq!((&entries[0]["actor"], &entries[0]["status"]), (&actor, &json!(303)));
    assert!(!entries[0].to_string().contains("code-"), "a query may carry secrets");
}

#[test]
fn a_person_is_one_by_issuer_and_subject() {
    let provider = Provider::start();
    let app = app(&provider, "staff=operator", &[("ADE_MAX_CONCURRENCY", "1")]);
    let project = app.project();
    let request = app.run_request(&project, &json!([["say", "x"]]), json!({})).header("Idempotency-Key", "k");
    let create = |browser: &Browser| {
        let token = browser.shown(&app)["csrf_token"].as_str().unwrap().to_owned();
        let answer = browser.send(&app, request.clone().header("X-CSRF-Token", token));
        assert!(matches!(answer.status(), 200 | 201), "{answer}");
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let first = create(&signed_in(&app, &provider));
    provider.script(|script| script.claims["name"] = json!("Ada, Countess of Lovelace"));
    assert_eq!(create(&signed_in(&app, &provider)), first, "the same request of the same person");
    provider.script(|script| script.claims["sub"] = json!("s-2"));
    let other = create(&signed_in(&app, &provider));
    assert_ne!(other, first, "somebody else of the same name");
    app.finish_run(&first);
    app.finish_run(&other);
}

#[test]
fn nobody_is_sent_to_another_origin() {
    let provider = Provider::start();
    let app = app(&provider, "staff=viewer", &[]);
    for evil in [
        "https://evil.example",
        "//evil.example",
        "/%5Cevil.example",
        "%5C%5Cevil.example",
        "/%09/evil.example",
        "/%0d%0aSet-Cookie:%20a=b",
        "%20//evil.example",
        "javascript:alert(1)",
        "",
        "evil.example",
    ] {
        let answer = Browser::default().get(&app, &format!("{BEGIN}?return_to={evil}"));
        assert_eq!((answer.header("location"), answer.header("set-cookie")), (None, None), "{evil}");
        answer.problem(400, "invalid_query");
    }
    Browser::default().get(&app, &format!("{BEGIN}?return_to=/&return_to=/a")).problem(400, "invalid_query");
    Browser::default().get(&app, &format!("{BEGIN}?next=/")).problem(400, "invalid_query");
    let browser = Browser::default();
    let spoofed = Request::get(BEGIN).header("Host", "evil.example").header("X-Forwarded-Host", "evil.example");
    let url = browser.send(&app, spoofed).expect(303).header("location").unwrap().to_owned();
    assert!(!url.contains("evil.example"), "{url}");
    let back = browser.visit(&app, &provider, "");
    assert_eq!(
        browser.get(&app, &format!("{back}&return_to=https://evil.example")).expect(303).header("location"),
        Some("/")
    );
}

#[test]
fn sessions_of_people_outlive_a_restart_and_end_when_their_time_is_over() {
    let provider = Provider::start();
    let app = app(&provider, "staff=viewer", &[("ADE_OIDC_SESSION_TIMEOUT", "20s")]);
    let began = Instant::now();
    let browser = signed_in(&app, &provider);
    let pending = Browser::default();
    let back = pending.visit(&app, &provider, "");
    let app = app.restart();
    if began.elapsed() < Duration::from_secs(15) {
        assert_eq!(browser.shown(&app)["name"], "Ada Lovelace");
    }
    // One that is on its way does not.
    pending.get(&app, &back).problem(400, "sign_in_not_begun");
    wait_until("the session is over", || browser.get(&app, "/api/v1/session").status() == 401);
    assert!(began.elapsed() > Duration::from_secs(19), "{:?}", began.elapsed());
}

#[test]
fn another_process_denies_a_person_and_its_sessions_end_here_too() {
    let provider = Provider::start();
    let app = app(&provider, "staff=viewer", &[]);
    let browser = signed_in(&app, &provider);
    app.change_database("update people set denied_at = signed_in_at");
    wait_until("the session is over", || browser.get(&app, "/api/v1/session").status() == 401);
}

#[test]
fn a_key_and_a_person_are_let_in_side_by_side_and_keys_are_as_they_were() {
    let provider = Provider::start();
    let app = app(&provider, "staff=viewer", &[]);
    let (_, key) = make_key(&app, &json!({"name": "ci", "role": "viewer"}));
    signed_in(&app, &provider);
    app.send(&with_key(Request::get("/api/v1/workspaces"), &key)).expect(200);
    let shown = app.send(&with_key(Request::get("/api/v1/session"), &key)).expect(200).json();
    assert_eq!((shown["via"].as_str(), shown["subject"].is_null()), (Some("key"), true));
}

#[test]
fn without_a_provider_there_is_nothing_to_begin() {
    let app = TestApp::with(&[("ADE_AUTH", "on")]);
    for path in [BEGIN, "/api/v1/session/oidc/callback?code=x&state=y"] {
        Request::get(path).send(app.address).unwrap().problem(404, "oidc_off");
    }
    let provider = Provider::start();
    let app = self::app(&provider, "staff=viewer", &[("ADE_AUTH", "off")]);
    app.get(BEGIN).problem(404, "oidc_off");
    assert_eq!(provider.asked(DESCRIPTION), 0);
}

#[test]
fn settings_that_do_not_fit_together_are_told_at_the_start() {
    for (settings, told) in [
        (&[("ADE_OIDC_ISSUER", "https://login.example")][..], "oidc_client_id is not"),
        (&[("ADE_OIDC_CLIENT_ID", "x")], "oidc_issuer is not"),
        (&[("ADE_OIDC_ISSUER", "http://login.example")], "oidc_issuer"),
        (&[("ADE_OIDC_GROUPS", "staff")], "<group>=<role>"),
    ] {
        let error = TestApp::refused(settings);
        assert!(error.contains(told), "{error}");
    }
}
