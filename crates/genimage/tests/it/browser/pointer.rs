//! What a hand does with a mouse. The browser itself is told of it, so that a page meets what it meets of a person, with
//! all that comes of it by itself: what lies under the pointer, who has caught it, what is dragged.

use anyhow::Context as _;
use serde_json::json;

use super::window::{Window, file_of_bytes};

/// A place on something that is shown, in parts of its width and height.
pub(crate) type Spot = (f64, f64);

impl Window {
    /// Where these spots lie in the window, in px, once the thing is in its middle.
    async fn spots(&self, css: &str, spots: &[Spot]) -> anyhow::Result<Vec<Spot>> {
        let script = "const thing = document.querySelector(arguments[0]);
            if (!thing) return null;
            thing.scrollIntoView({ block: 'center', behavior: 'instant' });
            const area = thing.getBoundingClientRect();
            return arguments[1].map(([x, y]) => [area.left + x * area.width, area.top + y * area.height]);";
        let found = self.ask(script, vec![json!(css), json!(spots)]).await?;
        serde_json::from_value::<Option<_>>(found)?.with_context(|| format!("there is no `{css}`"))
    }

    /// Presses the mouse on the first of these spots, takes it over the others, and lets go on the last: of a single one
    /// it is a tap.
    pub(crate) async fn drag(&self, css: &str, spots: &[Spot]) -> anyhow::Result<()> {
        let spots = self.spots(css, spots).await?;
        let (from, to) = (spots.first().context("a spot")?, spots.last().context("a spot")?);
        self.mouse("mouseMoved", *from, 0).await?;
        self.mouse("mousePressed", *from, 1).await?;
        for spot in &spots[1..] {
            self.mouse("mouseMoved", *spot, 1).await?;
        }
        self.mouse("mouseReleased", *to, 0).await
    }

    /// One turn of the mouse; `buttons` are those that are down after it, 1 for the first one.
    async fn mouse(&self, turn: &str, (x, y): Spot, buttons: u32) -> anyhow::Result<()> {
        let moved_freely = turn == "mouseMoved" && buttons == 0;
        let button = if moved_freely { "none" } else { "left" };
        let clicks = u32::from(turn != "mouseMoved");
        let event = json!({ "type": turn, "x": x, "y": y, "button": button, "buttons": buttons, "clickCount": clicks });
        self.command("Input.dispatchMouseEvent", event).await
    }

    /// Drags a file into the window, onto the middle of something, and lets go of it there.
    pub(crate) async fn drop_file(&self, css: &str, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let file = file_of_bytes(name, bytes)?;
        let spots = self.spots(css, &[(0.5, 0.5)]).await?;
        let (x, y) = spots.first().context("a spot")?;
        // It may be copied.
        let data = json!({ "items": [], "files": [file], "dragOperationsMask": 1 });
        for turn in ["dragEnter", "dragOver", "drop"] {
            let event = json!({ "type": turn, "x": x, "y": y, "data": data });
            self.command("Input.dispatchDragEvent", event).await?;
        }
        Ok(())
    }
}
