//! A HorizontalPodAutoscaler moves the server by its scale subresource.

use super::super::fleet::settled;
use super::super::site::{SOON, START};
use crate::ensure;
use crate::error::{Context as _, Result};
use crate::harness::{Context, eventually};
use crate::media::Player;
use crate::tools::paths::{read, workspace};
use serde_json::json;

/// Where users find the autoscaler that goes by viewers.
const PAGE: &str = "docs/scaling.md";
/// Its target there, and here.
const TARGETS: [&str; 2] = ["averageValue: \"800\"", "averageValue: \"2\""];
/// With five viewers at two a pod.
const PODS: usize = 3;

/// No metrics are needed where the present number is outside of its bounds.
pub(super) async fn within_bounds(context: &Context) -> Result<()> {
    let (kubectl, namespace) = (&context.kubectl, &context.namespace);
    let autoscale = ["autoscale", "mediaserver", "live", "-n", namespace];
    kubectl
        .run(&[autoscale.as_slice(), &["--min=3", "--max=4"]].concat())
        .await?;
    settled(context, 3, START).await?;
    let lower = json!({"spec": {"minReplicas": 1, "maxReplicas": 2}});
    kubectl
        .patch("horizontalpodautoscaler", namespace, "live", &lower)
        .await?;
    settled(context, 2, START).await?;
    let seen = eventually(START, "the autoscaler knows how many pods there are", async || {
        let autoscaler = context.get("horizontalpodautoscaler", "live").await?;
        let current = autoscaler.pointer("/status/currentReplicas").cloned();
        ensure!(current == Some(json!(2)), "it sees {current:?}");
        Ok(())
    });
    seen.await?;
    kubectl.delete("horizontalpodautoscaler", namespace, "live").await
}

/// The example of the documentation, by what the pods say of their viewers.
pub(super) async fn by_viewers(context: &Context) -> Result<()> {
    let _metrics = context.custom_metrics().await?;
    let pods = settled(context, 2, START).await?;
    let urls = pods.iter().cycle().map(|pod| pod.flv("alice")).take(5);
    let mut players = urls.map(|url| Player::start(&url)).collect::<Result<Vec<_>>>()?;
    for player in &mut players {
        player.gets(10, SOON).await?;
    }
    context.apply(&example()?).await?;
    let seen = eventually(START, "the autoscaler wants a third pod", async || {
        let autoscaler = context.get("horizontalpodautoscaler", "live").await?;
        let wanted = autoscaler.pointer("/status/desiredReplicas").cloned();
        ensure!(
            wanted == Some(json!(PODS)),
            "it wants {wanted:?}: {:?}",
            autoscaler.pointer("/status/conditions")
        );
        Ok(())
    });
    seen.await?;
    settled(context, PODS, START).await?;
    for player in &mut players {
        player.gets(10, SOON).await?;
    }
    context
        .kubectl
        .delete("horizontalpodautoscaler", &context.namespace, "live")
        .await
}

/// As it stands on the page, with a target that few viewers reach.
fn example() -> Result<String> {
    let page = read(&workspace().join(PAGE))?;
    let blocks = page.split("```yaml\n").filter_map(|rest| rest.split("```").next());
    let example = blocks
        .into_iter()
        .find(|block| block.contains("kind: HorizontalPodAutoscaler"));
    let example = example.context(format_args!("{PAGE} has no autoscaler"))?;
    ensure!(
        example.contains(TARGETS[0]),
        "{PAGE} has another target than {}",
        TARGETS[0]
    );
    Ok(example.replace(TARGETS[0], TARGETS[1]))
}
