//! What an engine puts where the service reads or writes: nothing that lies elsewhere is changed, shown or waited for.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::log::Log;
use crate::support::server::{Server, ade, without_isolation};
use crate::support::work::{Place, Run};

fn service(folder: &Path) -> (Server, Place) {
    let server = Server::start_with(folder, &without_isolation());
    let place = Place::make(&server);
    place.warm_up(&server);
    (server, place)
}

/// A run whose engine does this in the folder that its outputs' folder is in.
fn doing(server: &Server, place: &Place, code: &str) -> Run {
    let run = place.run(server, &format!("python os.chdir(os.path.dirname(out)) or {code}\nprint done"));
    let row = run.ended(server);
    assert_eq!(row["status"], "succeeded", "{code}: {row}");
    Log::read(&server.data_dir, &row).assert_ended();
    run
}

#[test]
fn diagnostics_are_never_written_or_read_through_an_engines_replacement() {
    let (folder, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let victim = others.path().join("victim");
    fs::write(&victim, "{\"secret\": 1}").unwrap();
    let (server, place) = service(folder.path());
    let shown = |run: &Run| server.get(&format!("{}/diagnostics", run.path()));

    let linked = doing(&server, &place, &format!("os.symlink({victim:?}, 'diagnostics.json')"));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "{\"secret\": 1}");
    assert_eq!(shown(&linked)["engine"]["exit"]["code"], 0, "they took the link's place");

    let piped = doing(&server, &place, "os.mkfifo('diagnostics.json')");
    assert_eq!(shown(&piped)["engine"]["exit"]["code"], 0);

    let doubled = doing(&server, &place, &format!("os.link({victim:?}, 'diagnostics.json')"));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "{\"secret\": 1}");
    assert_eq!(shown(&doubled)["engine"]["exit"]["code"], 0);

    let taken = doing(&server, &place, "os.mkdir('diagnostics.json')");
    assert_eq!(shown(&taken)["engine"], json!(null), "there is no place for them");

    // The folder itself is another one.
    let elsewhere = others.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let code =
        format!("os.rename(os.getcwd(), os.getcwd() + '-moved') or os.symlink({elsewhere:?}, os.path.dirname(out))");
    let moved = place.run(&server, &format!("python os.chdir(os.path.dirname(out)) or {code}\nprint done"));
    assert_eq!(moved.ended(&server)["status"], "succeeded");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "nothing is written there");
    server.stop();
}

#[test]
fn an_output_that_is_no_regular_file_is_404() {
    let (folder, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(others.path().join("secret"), "of others").unwrap();
    let (server, place) = service(folder.path());
    let link = format!("os.symlink({:?}, 'output/link')", others.path());
    let device = "os.symlink('/dev/zero', 'output/zero') or os.mkdir('output/folder')";
    let run = doing(
        &server,
        &place,
        &format!("os.mkfifo('output/pipe') or {link} or {device} or open('output/real', 'w').close()"),
    );
    let listed = server.get(&format!("{}/outputs", run.path()));
    assert_eq!(listed["files"].as_array().unwrap().len(), 1, "{listed}");
    // More than there are threads that may block.
    let pipe = format!("{}/outputs/pipe", run.path());
    std::thread::scope(|scope| {
        let ask = || server.status(&pipe);
        let asked: Vec<_> = (0..600).map(|_| scope.spawn(ask)).collect();
        assert!(asked.into_iter().all(|asked| asked.join().unwrap() == 404));
    });
    for name in ["link", "link/secret", "zero", "folder", "none", "real/below", "../logs/events.ndjson"] {
        assert_eq!(server.status(&format!("{}/outputs/{name}", run.path())), 404, "{name}");
    }
    assert_eq!(server.status(&format!("{}/outputs/real", run.path())), 200);

    let code = format!("os.rename('output', 'before') or os.symlink({:?}, 'output')", others.path());
    let moved = doing(&server, &place, &code);
    assert_eq!(server.get(&format!("{}/outputs", moved.path()))["files"], json!([]));
    assert_eq!(server.status(&format!("{}/outputs/secret", moved.path())), 404);
    server.stop();
}

#[test]
fn the_database_is_in_the_data_directory_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("50% of it? #1 & “東京” 'x'");
    fs::create_dir(&data).unwrap();
    let server = Server::start(&data);
    Place::make(&server);
    server.stop();
    assert!(data.join("ade.db").is_file());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is beside it");
    let verified = ade(&data, &without_isolation()).arg("verify").arg(&data).output().unwrap();
    let text = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success() && !text.contains("rows are not checked"), "{text}");
}

#[test]
fn a_nearly_full_disk_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = without_isolation();
    settings.insert("ADE_DISK_MIN_FREE", "8000000GiB".into());
    let server = Server::start_with(folder.path(), &settings);
    let ready = server.get("/health/ready");
    assert_eq!(ready["status"], "degraded", "{ready}");
    let told = ready["components"].as_array().unwrap().iter().filter(|part| part["status"] == "degraded").count();
    assert_eq!(told, 2, "{ready}");
    server.stop();
}
