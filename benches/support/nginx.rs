//! nginx beside the service, with settings of its own.

use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::child::{Owned, poll};
use super::http::Client;
use super::{Bench, Outcome};

pub struct Nginx {
    pub address: SocketAddr,
    _process: Owned,
}

/// What differs between its uses, in nginx's own words.
pub struct Settings<'s> {
    pub main: &'s str,
    pub http: &'s str,
    pub server: &'s str,
}

impl Nginx {
    /// `None` where there is no nginx, or none that takes these settings.
    pub fn start(bench: &Bench, settings: &Settings<'_>) -> Outcome<Option<Self>> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let folder = bench.folder("nginx")?;
        let (file, log) = (folder.join("nginx.conf"), folder.join("error.log"));
        std::fs::write(&file, settings.text(&folder.display().to_string(), address))?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&folder).arg("-c").arg(&file).arg("-e").arg(&log);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(mut process) = Owned::spawn(&mut command, Duration::from_secs(5)) else { return Ok(None) };
        let is_there = poll("the start of nginx", Duration::from_secs(10), || match process.child().try_wait()? {
            Some(_) => Ok(Some(false)),
            None => Ok(Client::connect(address).ok().map(|_| true)),
        })?;
        if !is_there {
            eprintln!("  nginx ended: {}", std::fs::read_to_string(log).unwrap_or_default().trim());
        }
        Ok(is_there.then_some(Self { address, _process: process }))
    }
}

impl Settings<'_> {
    /// One process, which ends with the one that started it.
    fn text(&self, folder: &str, address: SocketAddr) -> String {
        let Self { main, http, server } = self;
        format!(
            "{main} daemon off; master_process off; pid {folder}/pid;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ access_log off; {http}\n\
             client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;\n\
             uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;\n\
             server {{ listen {address}; {server} }} }}\n"
        )
    }
}
