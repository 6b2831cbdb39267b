//! Which requests are about work that only its owner can answer for. Pure.
//!
//! Law: a request that is listed here is answered by the node that has the work, and by no other; whatever is not listed is
//! answered from the rows that all nodes share, by whichever node was asked. A test holds this list against all routes.

use std::borrow::Cow;

use actix_web::http::Method;
use percent_encoding::percent_decode_str;

use crate::domain::StreamId;
use crate::http::paths::API;

/// What a request needs of the owner of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Nothing any more when the work has ended: its row says all.
    pub only_at_work: bool,
    /// A replica of its log is as good.
    pub takes_replica: bool,
    /// When the owner cannot be reached, what this node has may do.
    pub otherwise_here: bool,
}

const OWNER: Needs = Needs { only_at_work: false, takes_replica: false, otherwise_here: false };
/// The row is never to be behind an end that a reader has seen; an old one is better than none.
const ROW: Needs = Needs { only_at_work: true, otherwise_here: true, ..OWNER };
/// It is in the row, or read off the log.
const SUMMARY: Needs = Needs { takes_replica: true, otherwise_here: true, ..OWNER };
/// A row beside what is on the owner's disk, or a file that may be in the object store too.
const DISK_OR_HERE: Needs = Needs { otherwise_here: true, ..OWNER };
/// Its files are its node's.
const FEED: Needs = OWNER;
const LOG: Needs = Needs { takes_replica: true, ..OWNER };
/// What has ended is not cancelled, whoever says so.
const AT_WORK: Needs = Needs { only_at_work: true, ..OWNER };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    /// `GET`, and `HEAD`.
    Read,
    Post,
}

use Verb::{Post, Read};

/// The first segment in braces is the id of the work; the last one may have slashes when it is called `path`.
const ROUTES: &[(Verb, &str, Needs)] = &[
    (Read, "/runs/{id}", ROW),
    (Read, "/executions/{id}", ROW),
    // With what is so of its venv.
    (Read, "/builds/{id}", DISK_OR_HERE),
    (Post, "/runs/{id}/cancel", AT_WORK),
    (Post, "/builds/{id}/cancel", AT_WORK),
    (Post, "/executions/{id}/cancel", AT_WORK),
    // It keeps what the log says is completed. A run is begun anew from its row, on any node.
    (Post, "/executions/{id}/retry", OWNER),
    (Post, "/executions/{execution}/steps/{step}/clarification", OWNER),
    (Post, "/executions/{execution}/steps/{step}/acceptance", OWNER),
    (Read, "/executions/{execution}/steps", LOG),
    (Read, "/executions/{execution}/calls/{call}/prompt", OWNER),
    (Read, "/executions/{id}/stream", LOG),
    (Read, "/executions/{id}/events", LOG),
    (Read, "/executions/{id}/events/stream", LOG),
    (Read, "/executions/{id}/events/download", LOG),
    (Read, "/runs/{id}/events", LOG),
    (Read, "/runs/{id}/events/stream", LOG),
    (Read, "/runs/{id}/events/download", LOG),
    (Read, "/runs/{id}/logfile", LOG),
    (Read, "/runs/{id}/logs", LOG),
    (Read, "/builds/{id}/events", LOG),
    (Read, "/builds/{id}/events/stream", LOG),
    (Read, "/builds/{id}/events/download", LOG),
    (Read, "/builds/{id}/logfile", LOG),
    (Read, "/builds/{id}/logs", LOG),
    (Read, "/workspaces/{id}/events", FEED),
    (Read, "/workspaces/{id}/events/stream", FEED),
    (Read, "/workspaces/{id}/events/download", FEED),
    (Read, "/runs/{run}/summary", SUMMARY),
    (Read, "/runs/{run}/outputs", DISK_OR_HERE),
    (Read, "/runs/{run}/outputs/{path}", DISK_OR_HERE),
    (Read, "/runs/{run}/diagnostics", OWNER),
];

/// Of several streams, which are in the query.
const MANY: &str = "/events/stream";

/// What a request is about.
#[derive(Debug, PartialEq, Eq)]
pub enum About {
    One(StreamId, Needs),
    /// The streams that the query names.
    Many(Needs),
}

/// None of what any node can answer, and of what none can, since its id is none.
pub fn about(method: &Method, path: &str) -> Option<About> {
    let verb = match *method {
        Method::GET | Method::HEAD => Read,
        Method::POST => Post,
        _ => return None,
    };
    let segments = segments(path.strip_prefix('/').unwrap_or(path));
    if verb == Read && matches(&pattern(MANY), &segments) {
        return Some(About::Many(LOG));
    }
    let found = ROUTES.iter().find(|(of, path, _)| *of == verb && matches(&pattern(path), &segments));
    let (_, path, needs) = found?;
    let at = pattern(path).iter().position(|segment| segment.starts_with('{'))?;
    Some(About::One(StreamId::parse(&segments[at])?, *needs))
}

/// Whether requests of this kind may be passed on. `path` is a pattern.
pub fn is_listed(method: &Method, path: &str) -> bool {
    let verb = if *method == Method::POST { Post } else { Read };
    let is_it = |of: Verb, listed: &str| of == verb && path.strip_prefix(API) == Some(listed);
    is_it(Read, MANY) || ROUTES.iter().any(|(of, listed, _)| is_it(*of, listed))
}

/// As the router sees them: empty ones do not count, and what is encoded is what it stands for.
fn segments(path: &str) -> Vec<Cow<'_, str>> {
    let given = path.split('/').filter(|segment| !segment.is_empty());
    given.map(|segment| percent_decode_str(segment).decode_utf8_lossy()).collect()
}

fn pattern(path: &'static str) -> Vec<&'static str> {
    let below = API.split('/').filter(|segment| !segment.is_empty());
    below.chain(path.split('/').filter(|segment| !segment.is_empty())).collect()
}

fn matches(pattern: &[&str], segments: &[Cow<'_, str>]) -> bool {
    let has_rest = pattern.last() == Some(&"{path}");
    let is_long = if has_rest { segments.len() >= pattern.len() } else { segments.len() == pattern.len() };
    is_long && pattern.iter().zip(segments).all(|(wanted, given)| wanted.starts_with('{') || wanted == given)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BuildId, ExecutionId, RunId, WorkspaceId};
    use crate::http::route::all::describe;

    fn get(path: &str) -> Option<About> {
        about(&Method::GET, path)
    }

    #[test]
    fn what_a_request_is_about_is_read_as_the_router_reads_it() {
        let (run, build, execution) = (RunId::generate(), BuildId::generate(), ExecutionId::generate());
        for path in ["events", "events/", "/events", "%65vents"] {
            let about = get(&format!("/api/v1/runs/{run}/{path}"));
            assert_eq!(about, Some(About::One(run.into(), LOG)), "{path}");
        }
        let encoded = run.to_string().replace('_', "%5F");
        assert_eq!(get(&format!("//api/v1//runs/{encoded}")), Some(About::One(run.into(), ROW)));
        assert_eq!(get(&format!("/api/v1/builds/{build}")), Some(About::One(build.into(), DISK_OR_HERE)));
        let output = format!("/api/v1/runs/{run}/outputs/a/b.xlsx");
        assert_eq!(get(&output), Some(About::One(run.into(), DISK_OR_HERE)));
        assert_eq!(get(&format!("/api/v1/runs/{run}/outputs")), Some(About::One(run.into(), DISK_OR_HERE)));
        let workspace = WorkspaceId::generate();
        let feed = get(&format!("/api/v1/workspaces/{workspace}/events/stream"));
        assert_eq!(feed, Some(About::One(workspace.into(), FEED)));
        let step = format!("/api/v1/executions/{execution}/steps/a/acceptance");
        assert_eq!(about(&Method::POST, &step), Some(About::One(execution.into(), OWNER)));
        assert_eq!(about(&Method::HEAD, &format!("/api/v1/runs/{run}")), get(&format!("/api/v1/runs/{run}")));
        assert_eq!(get("/api/v1/events/stream"), Some(About::Many(LOG)));
    }

    #[test]
    fn what_every_node_can_answer_is_about_nothing() {
        let run = RunId::generate();
        for path in ["/api/v1/runs/run_x", "/api/v1/workspaces", "/", "", "/runs/x", "/api/v1/runs/x/y/z/events"] {
            assert_eq!(get(path), None, "{path}");
        }
        assert_eq!(about(&Method::POST, &format!("/api/v1/runs/{run}/retry")), None);
        assert_eq!(about(&Method::DELETE, &format!("/api/v1/runs/{run}")), None);
    }

    /// About work, and answered by whichever node is asked: from rows alone, or by beginning something new.
    const ANYWHERE: &[(&str, &str)] =
        &[("post", "/api/v1/runs/{id}/retry"), ("get", "/api/v1/telemetry/executions/{execution}/costs")];

    #[test]
    fn every_route_about_work_is_listed_or_answered_anywhere() {
        let document = describe();
        let mut listed = 0;
        for (path, operations) in document["paths"].as_object().unwrap() {
            let is_about_work = path == "/api/v1/events/stream"
                || ["runs/{", "builds/{", "executions/{"].iter().any(|part| path.contains(part))
                || path.contains("workspaces/{id}/events");
            for name in operations.as_object().unwrap().keys().filter(|name| *name != "parameters") {
                let method: Method = name.to_uppercase().parse().unwrap();
                let is_listed = is_listed(&method, path);
                listed += usize::from(is_listed);
                let is_anywhere = ANYWHERE.contains(&(name, path));
                assert_eq!(is_listed || is_anywhere, is_about_work, "{method} {path}");
                assert!(!(is_listed && is_anywhere), "{method} {path}");
            }
        }
        assert_eq!(listed, ROUTES.len() + 1, "a path of the list is mounted nowhere");
    }
}
