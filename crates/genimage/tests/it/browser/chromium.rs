//! Chromium with its driver: looked for, started, ended.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::json;
use tempfile::TempDir;
use thirtyfour::{
    CapabilitiesHelper as _, ChromeCapabilities, ChromiumLikeCapabilities as _, DesiredCapabilities,
    LoggingPrefsLogLevel, PageLoadStrategy, WebDriver,
};

use crate::left_out::left_out;

/// Where both programs are.
pub(crate) struct Chromium {
    browser: PathBuf,
    driver: PathBuf,
}

/// A running one with one window; the driver ends with it.
pub(crate) struct Browser {
    session: WebDriver,
    driver: Child,
    _profile: TempDir,
}

impl Chromium {
    /// `None`, and a line that says so, where a program is missing.
    ///
    /// # Panics
    /// With `CI` set, where a program is missing.
    pub(crate) fn find() -> Option<Self> {
        let browser = find("CHROMIUM", &["chromium", "chromium-browser", "google-chrome"]);
        let driver = find("CHROMEDRIVER", &["chromedriver"]);
        if let (Some(browser), Some(driver)) = (browser, driver) {
            return Some(Self { browser, driver });
        }
        left_out("the pages are not looked at: Chromium and its driver are needed (Debian: chromium, chromium-driver)");
        None
    }

    pub(crate) async fn start(self) -> Browser {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new(&self.driver)
            .args(["--port=0", "--log-level=SEVERE"])
            // What the browser keeps for itself goes with the test.
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = said.next().expect("the driver ends before it listens").unwrap();
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // Somebody must read on, or the driver blocks on a full pipe.
        std::thread::spawn(move || said.for_each(drop));
        // Another test of this process may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let session = WebDriver::new(format!("http://127.0.0.1:{port}"), self.wishes(profile.path())).await.unwrap();
        Browser { session, driver, _profile: profile }
    }

    fn wishes(&self, profile: &Path) -> ChromeCapabilities {
        let mut wishes = DesiredCapabilities::chrome();
        wishes.set_binary(self.browser.to_str().unwrap()).unwrap();
        let folder = format!("--user-data-dir={}", profile.display());
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            &folder,
        ] {
            wishes.add_arg(argument).unwrap();
        }
        // Consoles, and every request.
        wishes.set_logging_prefs("browser", LoggingPrefsLogLevel::Severe).unwrap();
        wishes.set_logging_prefs("performance", LoggingPrefsLogLevel::All).unwrap();
        wishes.add_experimental_option("perfLoggingPrefs", json!({ "enablePage": false })).unwrap();
        // Live pages never fall silent.
        wishes.set_page_load_strategy(PageLoadStrategy::Eager).unwrap();
        wishes
    }
}

/// A program that the environment names, or that is on the path.
fn find(variable: &str, names: &[&str]) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(variable) {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|program| program.is_file())
}

impl Browser {
    pub(crate) fn driver(&self) -> WebDriver {
        self.session.clone()
    }

    pub(crate) async fn quit(mut self) {
        self.session.clone().quit().await.unwrap();
        self.driver.kill().unwrap();
        self.driver.wait().unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Gone already where the test came to its end; the browser ends with its driver.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
