//! `fettle up`: starts, serves, stops, starts again; and refuses cleanly.

use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;

use store::Database;

use crate::harness::{Up, free_address, run};

#[test]
fn it_serves_this_machine_stops_on_interrupt_and_starts_again_on_the_same_data() {
    let (folder, cache) = (testkit::folder(), testkit::folder());
    let data = folder.path().join("data");
    let up = Up::start(&data, cache.path());
    for words in ["packages", "verdict", "because", "reboot", "console", "sign in"] {
        assert!(up.printed.contains(words), "{words}: {}", up.printed);
    }
    let data_text = data.display().to_string();
    let ask = |arguments: &[&str]| run(cache.path(), &[arguments, &["--data", &data_text]].concat());

    let nodes = ask(&["node", "list", "--format", "json"]);
    let nodes: serde_json::Value = serde_json::from_str(&nodes.stdout).unwrap();
    assert_eq!((nodes["items"].as_array().unwrap().len(), nodes["items"][0]["allows"].as_str()), (1, Some("scan")));
    let name = nodes["items"][0]["name"].as_str().unwrap();
    let shown = ask(&["node", "show", name]).stdout;
    assert!(shown.contains("allows     scan") && shown.contains("heard of   online"), "{shown}");
    assert_eq!(ask(&["node", "show", "nosuch"]).code, 1);
    let explained = ask(&["node", "explain", name, "dpkg"]).stdout;
    assert!(explained.contains("Fettle-DebianDefaultPatchBaseline, the predefined default of its operating system") && explained.contains("dpkg:amd64"), "{explained}");
    assert_eq!(ask(&["patch", "list"]).code, 0);
    assert!(ask(&["baseline", "list"]).stdout.contains("Fettle-DebianDefaultPatchBaseline"));
    assert!(ask(&["baseline", "show", "pb-0000000000000de01"]).stdout.contains("approves every security patch"));
    assert!(ask(&["sign-in"]).stdout.starts_with(&format!("{}/sign-in?link=", up.url)));
    let doctor = ask(&["doctor"]);
    assert!(doctor.code == 0 && doctor.stdout.contains("server: answers at"), "{}", doctor.stdout);

    let second = run(cache.path(), &["up", "--data", &data_text, "--listen", &free_address()]);
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("is in use by another server"), "{}", second.stderr);

    assert_eq!(up.interrupt(), 0);
    let gone = ask(&["node", "list"]);
    assert!(gone.code == 1 && gone.stderr.contains("no server runs on the data folder"), "{}", gone.stderr);

    let again = Up::start(&data, cache.path());
    let nodes = ask(&["node", "list", "--format", "json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&nodes.stdout).unwrap()["items"].as_array().unwrap().len(), 1, "it is the same node");
    assert_eq!(again.interrupt(), 0);
}

#[test]
fn it_runs_on_postgresql_too() {
    let (folder, cache) = (testkit::folder(), testkit::folder());
    let postgres = testkit::postgres::Postgres::start();
    let data = folder.path().join("data");
    for _ in 0..2 {
        let up = Up::start_with(&data, cache.path(), &["--database", &postgres.url()]);
        let nodes = run(cache.path(), &["node", "list", "--format", "json", "--data", data.to_str().unwrap()]);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&nodes.stdout).unwrap()["items"].as_array().unwrap().len(), 1);
        assert_eq!(up.interrupt(), 0);
    }
}

#[test]
fn a_busy_port_and_limits_that_contradict_are_refused() {
    let (data, cache) = (testkit::folder(), testkit::folder());
    let data = data.path().display().to_string();
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    let ended = run(cache.path(), &["up", "--data", &data, "--listen", &address]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains(&format!("failed to listen on {address}")) && ended.stderr.contains("--listen ADDR"), "{}", ended.stderr);
    let ended = run(cache.path(), &["up", "--data", &data, "--late-after", "10", "--silent-after", "5"]);
    assert!(ended.code == 1 && ended.stderr.contains("cannot be silent after 5 s and late only after 10 s"), "{}", ended.stderr);
    let ended = run(cache.path(), &["up", "--data", &data, "--poll-for", "60", "--late-after", "30"]);
    assert!(ended.code == 1 && ended.stderr.contains("nodes ask every 60 s, so one cannot be late after 30 s"), "{}", ended.stderr);
}

#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    let cache = testkit::folder();
    // Root may write anywhere but below a file.
    let file = cache.path().join("file");
    std::fs::write(&file, "").unwrap();
    let ended = run(cache.path(), &["up", "--data", file.join("data").to_str().unwrap(), "--listen", &free_address()]);
    assert!(ended.code == 1 && ended.stderr.contains("failed to make the data folder"), "{}", ended.stderr);
}

#[test]
fn data_of_a_newer_release_is_refused_and_stays_as_it_is() {
    let (folder, cache) = (testkit::folder(), testkit::folder());
    let data = folder.path().join("data");
    std::fs::DirBuilder::new().mode(0o700).create(&data).unwrap();
    let path = data.join("fettle.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let database = Database::open_sqlite(&path, 0).await.unwrap();
        store::conformance::pretend_newer(&database).await.unwrap();
        database.close().await;
    });
    let before = std::fs::read(&path).unwrap();
    let data = data.display().to_string();
    let ended = run(cache.path(), &["up", "--data", &data, "--listen", &free_address()]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("written by a newer release") && ended.stderr.contains("run the newer release"), "{}", ended.stderr);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let doctor = run(cache.path(), &["doctor", "--data", &data]);
    assert!(doctor.code == 1 && doctor.stdout.contains("newer release"), "{}", doctor.stdout);
}

#[test]
fn a_database_that_is_none_is_refused() {
    let (folder, cache) = (testkit::folder(), testkit::folder());
    std::fs::write(folder.path().join("fettle.db"), "this is no database, but it is long enough to be looked at by one").unwrap();
    let ended = run(cache.path(), &["up", "--data", folder.path().to_str().unwrap(), "--listen", &free_address()]);
    assert!(ended.code == 1 && ended.stderr.contains("failed to open the data"), "{}", ended.stderr);
}
