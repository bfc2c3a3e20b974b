//! Tells the board and the scheduler how a prompt gets on.

use std::sync::Arc;

use hub_core::job::JobStateKind;

use super::Follower;

impl Follower<'_> {
    /// Puts the progress on the board.
    pub(super) fn show(&mut self) {
        if let Some(flight) = self.unbegun.take() {
            self.inner.dispatch.began(flight, self.hears());
        }
        let progress = self.fold.progress();
        match &progress.node {
            Some(id) if self.node.as_ref().is_none_or(|(known, _)| known != id) => {
                let shown = self
                    .graph
                    .and_then(|graph| graph.node(id))
                    .map_or(id.as_str(), |node| node.title().unwrap_or(&node.class_type));
                self.node = Some((id.clone(), Arc::from(shown)));
            }
            Some(_) => {}
            None => self.node = None,
        }
        let node = self.node.as_ref().map(|(_, shown)| shown.clone());
        #[expect(clippy::cast_possible_truncation, reason = "a fraction from 0 to 1 for display")]
        let fraction = progress.fraction as f32;
        let steps = progress.steps;
        self.inner.board.update(self.job, |shown| {
            shown.state = JobStateKind::Running;
            shown.fraction = shown.fraction.max(fraction);
            shown.steps = steps;
            shown.node = node;
            true
        });
    }
}
