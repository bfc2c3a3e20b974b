//! One window: where it is, what it shows, what is pressed and typed in it, and what it complains of.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail, ensure};
use serde_json::{Value, json};
use thirtyfour::{By, TypingData, WebDriver, WebElement, error::WebDriverError};

use super::patience;

pub(crate) struct Window {
    driver: WebDriver,
    hub: String,
    script: bool,
    width: u32,
    theme: &'static str,
    marks: std::sync::atomic::AtomicU32,
}

impl Window {
    pub(crate) fn new(driver: WebDriver, hub: &str) -> Self {
        Self { driver, hub: hub.to_owned(), script: true, width: 1280, theme: "light", marks: 0.into() }
    }

    /// From now on of another hub.
    pub(crate) fn visit(&mut self, hub: &str) {
        hub.clone_into(&mut self.hub);
    }

    /// Whether pages run scripts, how wide the window is (px) and which colours are preferred.
    pub(crate) async fn take_shape(&mut self, script: bool, width: u32, theme: &'static str) {
        let cdp = self.driver.cdp();
        let height = if width < 600 { 844 } else { 900 };
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        let media = json!({ "features": [
            { "name": "prefers-color-scheme", "value": theme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ] });
        cdp.send_raw("Emulation.setScriptExecutionDisabled", json!({ "value": !script })).await.unwrap();
        cdp.send_raw("Emulation.setDeviceMetricsOverride", metrics).await.unwrap();
        cdp.send_raw("Emulation.setEmulatedMedia", media).await.unwrap();
        (self.script, self.width, self.theme) = (script, width, theme);
    }

    pub(crate) fn shape(&self) -> String {
        format!("{} px {} {} script", self.width, self.theme, if self.script { "with" } else { "without" })
    }

    pub(crate) fn has_script(&self) -> bool {
        self.script
    }

    pub(crate) fn hub(&self) -> &str {
        &self.hub
    }

    /// A word that no other task has used.
    pub(crate) fn mark(&self) -> String {
        let number = self.marks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        format!("walk{number}x{}{}", self.width, if self.script { "s" } else { "n" })
    }

    pub(crate) async fn go(&self, path: &str) -> anyhow::Result<()> {
        self.driver.goto(format!("{}{path}", self.hub)).await.with_context(|| format!("going to {path}"))
    }

    /// The path that it is at, query and all.
    pub(crate) async fn path(&self) -> String {
        let url = self.driver.current_url().await.map(String::from).unwrap_or_default();
        url.strip_prefix(&self.hub).unwrap_or(&url).to_owned()
    }

    /// What a script of ours answers on the page; without scripts of the page's, too.
    pub(crate) async fn ask(&self, script: &str, arguments: Vec<Value>) -> anyhow::Result<Value> {
        Ok(self.driver.execute(script, arguments).await?.json().clone())
    }

    /// The words of the page.
    pub(crate) async fn text(&self) -> anyhow::Result<String> {
        let text = self.ask("return (document.querySelector('main') || document.body).innerText", vec![]).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits as [`patience::until`] does; where that is in vain, it is told with the first words of the page.
    async fn awaits<T, N, Look>(&self, look: impl Fn() -> Look, told: impl FnOnce(N) -> String) -> anyhow::Result<T>
    where
        Look: Future<Output = Result<T, N>>,
    {
        match patience::until(look, told).await {
            Ok(found) => Ok(found),
            Err(missed) => {
                let text = self.text().await.unwrap_or_default();
                bail!("{missed}: {}", text.chars().take(600).collect::<String>())
            }
        }
    }

    /// Waits until the page says that.
    pub(crate) async fn says(&self, words: &str) -> anyhow::Result<()> {
        let look = || async {
            let said = self.text().await.is_ok_and(|text| text.contains(words));
            if said { Ok(()) } else { Err(()) }
        };
        self.awaits(look, |()| format!("it does not say `{words}`")).await
    }

    pub(crate) async fn has(&self, css: &str) -> anyhow::Result<bool> {
        let found = self.ask("return document.querySelector(arguments[0]) !== null", vec![json!(css)]).await?;
        Ok(found == json!(true))
    }

    /// Waits until there is such a thing; without script, by looking anew.
    pub(crate) async fn until(&self, css: &str) -> anyhow::Result<()> {
        self.awaited(css, !self.script).await
    }

    /// The same on a page that does not follow what it shows.
    pub(crate) async fn until_reloaded(&self, css: &str) -> anyhow::Result<()> {
        self.awaited(css, true).await
    }

    /// Presses what asks once more, within what an XPath finds, and means it: in a dialog where there is script.
    pub(crate) async fn confirm(&self, within: &str) -> anyhow::Result<()> {
        let within = format!("{within}//details[contains(@class, 'confirm')]");
        self.tap(By::XPath(format!("{within}//summary"))).await?;
        let place = if self.script { "//dialog" } else { &within };
        self.press(By::XPath(format!("{place}//form//button[@type='submit']"))).await
    }

    async fn awaited(&self, css: &str, reload: bool) -> anyhow::Result<()> {
        let look = || async {
            // The page may be on its way to another one.
            if self.has(css).await.unwrap_or(false) {
                return Ok(());
            }
            if reload {
                self.driver.refresh().await?;
            }
            Err(anyhow!("there is no `{css}`"))
        };
        self.awaits(look, |missed: anyhow::Error| missed.to_string()).await
    }

    /// The browser is no longer logged in.
    pub(crate) async fn forget_login(&self) -> anyhow::Result<()> {
        Ok(self.driver.delete_all_cookies().await?)
    }

    /// It is logged in, with the cookie of another login.
    pub(crate) async fn take_login(&self, cookie: &str) -> anyhow::Result<()> {
        let (name, value) = cookie.split(';').next().and_then(|pair| pair.split_once('=')).context("a cookie")?;
        Ok(self.driver.add_cookie(thirtyfour::Cookie::new(name, value)).await?)
    }

    /// Waits until a script of ours answers true.
    pub(crate) async fn becomes(&self, script: &str, arguments: Vec<Value>) -> anyhow::Result<()> {
        let look = || async {
            let now = self.ask(script, arguments.clone()).await;
            if now.as_ref().is_ok_and(|now| *now == json!(true)) { Ok(()) } else { Err(now) }
        };
        self.awaits(look, |now: anyhow::Result<Value>| format!("`{script}` of {arguments:?} stays {now:?}")).await
    }

    /// Puts words into a field, in place of those that are there. What encloses it is opened.
    pub(crate) async fn fill(&self, css: &str, words: &str) -> anyhow::Result<()> {
        let script = "const field = document.querySelector(arguments[0]);
            if (!field) return false;
            for (let at = field; at; at = at.parentElement) if (at.tagName === 'DETAILS') at.open = true;
            field.focus();
            field.value = arguments[1];
            field.dispatchEvent(new Event('input', { bubbles: true }));
            field.dispatchEvent(new Event('change', { bubbles: true }));
            return field.value === arguments[1];";
        let taken = self.ask(script, vec![json!(css), json!(words)]).await?;
        ensure!(taken == json!(true), "`{css}` does not take `{words}`");
        Ok(())
    }

    /// Types into a field, key by key.
    pub(crate) async fn key_in(&self, css: &str, words: &str) -> anyhow::Result<()> {
        let field = self.driver.find(By::Css(css)).await.with_context(|| css.to_owned())?;
        field.clear().await?;
        field.send_keys(words).await?;
        Ok(())
    }

    /// Lets pages of the hub do what the browser asks a person about.
    pub(crate) async fn allow(&self, permissions: &[&str]) -> anyhow::Result<()> {
        self.command("Browser.grantPermissions", json!({ "origin": self.hub, "permissions": permissions })).await
    }

    /// Presses keys where the focus is.
    pub(crate) async fn keys(&self, keys: impl Into<TypingData>) -> anyhow::Result<()> {
        self.driver.active_element().await?.send_keys(keys).await?;
        Ok(())
    }

    /// Chooses what a menu calls so. What encloses it is opened.
    pub(crate) async fn choose(&self, css: &str, label: &str) -> anyhow::Result<()> {
        let script = "const menu = document.querySelector(arguments[0]);
            const option = [...(menu?.options ?? [])].find((option) => option.text.trim() === arguments[1]);
            if (!option) return false;
            for (let at = menu; at; at = at.parentElement) if (at.tagName === 'DETAILS') at.open = true;
            menu.value = option.value;
            menu.dispatchEvent(new Event('input', { bubbles: true }));
            menu.dispatchEvent(new Event('change', { bubbles: true }));
            return true;";
        let chosen = self.ask(script, vec![json!(css), json!(label)]).await?;
        ensure!(chosen == json!(true), "`{css}` does not offer `{label}`");
        Ok(())
    }

    /// Chooses a file that is made of these bytes.
    pub(crate) async fn choose_file(&self, css: &str, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let field = self.driver.find(By::Css(css)).await.with_context(|| css.to_owned())?;
        field.send_keys(file_of_bytes(name, bytes)?).await?;
        Ok(())
    }

    /// Gives the browser a command of its own protocol.
    pub(crate) async fn command(&self, method: &str, parameters: Value) -> anyhow::Result<()> {
        self.driver.cdp().send_raw(method, parameters).await.with_context(|| method.to_owned())?;
        Ok(())
    }

    /// Drops a file on a place, or pastes it there, as the browser tells the page of either; answers whether the page took
    /// it for itself.
    pub(crate) async fn give_file(&self, how: &str, css: &str, name: &str, bytes: &[u8]) -> anyhow::Result<bool> {
        let script = "const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(arguments[3])], arguments[2]));
            const said = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
            const event = arguments[0] === 'drop' ? new DragEvent('drop', said) : new ClipboardEvent('paste', said);
            document.querySelector(arguments[1]).dispatchEvent(event);
            return event.defaultPrevented;";
        let taken = self.ask(script, vec![json!(how), json!(css), json!(name), json!(bytes)]).await?;
        Ok(taken == json!(true))
    }

    /// Name and size of the file that a field holds.
    pub(crate) async fn file_of(&self, css: &str) -> anyhow::Result<Option<(String, u64)>> {
        let script =
            "const file = document.querySelector(arguments[0]).files[0]; return file ? [file.name, file.size] : null";
        Ok(serde_json::from_value(self.ask(script, vec![json!(css)]).await?)?)
    }

    pub(crate) async fn value(&self, css: &str) -> anyhow::Result<String> {
        let value = self.ask("return document.querySelector(arguments[0])?.value ?? null", vec![json!(css)]).await?;
        Ok(value.as_str().with_context(|| format!("no field `{css}`"))?.to_owned())
    }

    /// An attribute of the first such thing.
    pub(crate) async fn attribute(&self, css: &str, name: &str) -> anyhow::Result<String> {
        let script = "return document.querySelector(arguments[0])?.getAttribute(arguments[1]) ?? null";
        let value = self.ask(script, vec![json!(css), json!(name)]).await?;
        Ok(value.as_str().with_context(|| format!("no `{name}` of `{css}`"))?.to_owned())
    }

    /// Opens, ticks or chooses something on the page.
    pub(crate) async fn tap(&self, by: impl Into<By>) -> anyhow::Result<()> {
        let by = by.into();
        // A live part may redraw it between the look and the press.
        let press = || async { self.clear_of_the_bars(&by).await?.click().await };
        patience::until(press, |error: WebDriverError| format!("pressing {by:?}: {error}")).await
    }

    /// The thing, in the middle of the window: clear of what stays at its edges.
    async fn clear_of_the_bars(&self, by: &By) -> thirtyfour::error::WebDriverResult<WebElement> {
        let found = self.driver.find(by.clone()).await?;
        let script = "arguments[0].scrollIntoView({ block: 'center', behavior: 'instant' })";
        self.driver.execute(script, vec![found.to_json()?]).await?;
        Ok(found)
    }

    /// Presses what leads to another page, and waits until that is there.
    pub(crate) async fn press(&self, by: impl Into<By>) -> anyhow::Result<()> {
        let by = by.into();
        self.leads_on(&format!("{by:?}"), self.tap(by.clone())).await
    }

    /// Presses keys where the focus is that lead to another page, and waits until that is there.
    pub(crate) async fn keys_that_lead_on(&self, keys: impl Into<TypingData>) -> anyhow::Result<()> {
        self.leads_on("a key", self.keys(keys)).await
    }

    /// Does what leads to another page, and waits until that is there.
    async fn leads_on(&self, what: &str, does: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
        self.ask("window.leftBehind = true", vec![]).await?;
        does.await?;
        let there =
            "return window.leftBehind !== true && document.readyState !== 'loading' && location.href !== 'about:blank'";
        self.becomes(there, vec![]).await.with_context(|| format!("{what} leads nowhere"))
    }

    /// Presses what brings a file, and answers that.
    pub(crate) async fn download(&self, by: impl Into<By>) -> anyhow::Result<Vec<u8>> {
        let folder = tempfile::tempdir()?;
        let to = json!({ "behavior": "allow", "downloadPath": folder.path() });
        self.command("Browser.setDownloadBehavior", to).await?;
        self.tap(by).await?;
        let look = || async { whole_file(folder.path()).ok_or(()) };
        let path = patience::until(look, |()| "no file comes".to_owned()).await?;
        Ok(std::fs::read(path)?)
    }

    /// What the browser complained of since the last time: errors in the console, and requests to other places.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for entry in self.driver.get_log("browser").await.unwrap() {
            // A page that tells of a fault has its status, and the console repeats it.
            let of_a_page = entry.source.as_deref() == Some("network")
                && ["400", "401", "403", "404", "409", "412", "422", "429"]
                    .iter()
                    .any(|status| entry.message.contains(&format!("status of {status} ")))
                && !entry.message.contains("/assets/");
            if !of_a_page {
                complaints.push(format!("console: {}", entry.message));
            }
        }
        for entry in self.driver.get_log("performance").await.unwrap() {
            let message: Value = serde_json::from_str(&entry.message).unwrap();
            let url = message["message"]["params"]["request"]["url"].as_str().unwrap_or_default();
            let own = url.starts_with(&self.hub)
                || url.starts_with("chrome:")
                || url.starts_with("data:")
                || url.starts_with("blob:");
            if message["message"]["method"] == "Network.requestWillBeSent" && !own {
                complaints.push(format!("asks {url}"));
            }
        }
        complaints
    }
}

/// Where a file made of these bytes lies now. The browser may read it at any later time.
pub(crate) fn file_of_bytes(name: &str, bytes: &[u8]) -> anyhow::Result<String> {
    let file = tempfile::tempdir()?.keep().join(name);
    std::fs::write(&file, bytes)?;
    Ok(file.to_str().context("a path of text")?.to_owned())
}

/// The file that has come into a folder.
fn whole_file(folder: &Path) -> Option<PathBuf> {
    let mut found = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    // While it comes it has another ending.
    found.find(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        !name.ends_with(".crdownload") && !name.starts_with('.')
    })
}

/// What can be pressed on the page by what it says.
pub(crate) fn labelled(label: &str) -> By {
    let kinds = "self::button or self::a or self::summary or self::label";
    By::XPath(format!("//main//*[{kinds}][contains(normalize-space(.), \"{label}\")]"))
}

pub(crate) fn css(selector: &str) -> By {
    By::Css(selector)
}
