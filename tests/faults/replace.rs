//! The service is killed while a configuration's package is replaced: it is the old one or the new one, whole.

use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use ade::package::{Limits, content_digest, export_zip, import_zip};
use serde_json::json;

use crate::support::http::Request;
use crate::support::random::Random;
use crate::support::server::Server;
use crate::support::work::Place;
use crate::support::{eventually, tools};

/// The scripted configuration with many more files of this content, and its digest.
fn package(folder: &Path, content: &str) -> (Vec<u8>, String) {
    ade::package::copy_package(tools::package("configuration"), folder).unwrap();
    for number in 0..400 {
        std::fs::write(folder.join(format!("src/ade_config/f{number}.py")), content).unwrap();
    }
    let zip = export_zip(folder, Cursor::new(Vec::new())).unwrap().into_inner();
    (zip, content_digest(folder).unwrap())
}

#[test]
fn a_kill_while_a_package_is_replaced_leaves_the_old_or_the_new_one() {
    let (folder, packages) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let both = ["one", "two"].map(|name| package(&packages.path().join(name), &format!("x = '{name}'\n")));
    let mut random = Random::new(20_261_121);
    let mut server = Server::start(folder.path());
    let place = Place::make(&server);
    let configuration = format!("/api/v1/workspaces/{}/configurations/{}", place.workspace, place.configuration);
    let put = |address, zip: &[u8]| {
        let request = Request::new("PUT", format!("{configuration}/import")).header("If-Match", "*");
        request.form(&[("file", Some("package.zip"), zip)]).send(address)
    };
    put(server.address, &both[0].0).expect("the service answers");
    let mut seen = Vec::new();
    for round in 0..8 {
        let (address, zip) = (server.address, both[(round + 1) % 2].0.clone());
        std::thread::scope(|scope| {
            let putting = scope.spawn(|| put(address, &zip).is_ok());
            std::thread::sleep(Duration::from_millis(random.below(400)));
            server.kill();
            // Cut off, or answered just before.
            putting.join().unwrap();
        });
        server = Server::start(folder.path());
        let exported = server.send(&Request::get(format!("{configuration}/export"))).expect("an answer").body;
        let unpacked = packages.path().join(format!("round-{round}"));
        let report = import_zip(Cursor::new(exported), &unpacked, Limits::default()).unwrap();
        let which = both.iter().position(|(_, digest)| *digest == report.content_digest);
        seen.push(which.expect("the package is one of the two"));
    }
    eprintln!("{seen:?}");
    let (status, build) = server.post(&place.builds_path(), &json!({"options": {"wait": true}}));
    assert_eq!(status, 201, "{build}");
    eventually("the package can be built", || {
        let build = server.get(&format!("/api/v1/builds/{}", build["id"].as_str().unwrap()));
        (build["status"] == "active").then_some(())
    });
    server.stop();
}
