//! What collecting takes beside a service that does nothing, and how much of that is the store's.

use crate::BenchError;
use crate::operation;
use crate::report::Measure;
use crate::store::{Service, Store};
use crate::timing::{Load, Pace};

/// How many connections send.
const CONNECTIONS: usize = 32;
/// How often each of them has its turn.
const ROUNDS: usize = 3;

/// Each way of collecting: sent to a service that does nothing, to this one on a log that answers at once, and to it on the embedded
/// store. The same requests on the same stack.
pub(crate) async fn measures(pace: &Pace) -> Result<Vec<Measure>, BenchError> {
    let mut measures = Vec::new();
    for operation in operation::collecting() {
        let (quick, stored) = (Store::in_memory().await?, Store::open(0).await?);
        let services = [Service::empty().await?, Service::start(&quick).await?, Service::start(&stored).await?];
        let loads = [Load::new(&quick, &operation).await?, Load::new(&quick, &operation).await?, Load::new(&stored, &operation).await?];
        let mut best: [Option<Measure>; 3] = [None, None, None];
        // In turns: whatever else the machine does meanwhile slows all three.
        for _ in 0..ROUNDS {
            for (best, (service, load)) in best.iter_mut().zip(services.iter().zip(&loads)) {
                let measure = load.through_http(service, CONNECTIONS, pace).await?;
                if best.as_ref().is_none_or(|best| best.per_second < measure.per_second) {
                    *best = Some(measure);
                }
            }
        }
        for (best, on) in best.into_iter().zip(["nothing", "memory", "embedded"]) {
            measures.extend(best.map(|measure| Measure { name: format!("{}_on_{on}", measure.name), ..measure }));
        }
        for service in services {
            service.stop().await?;
        }
        quick.close().await?;
        stored.close().await?;
    }
    Ok(measures)
}
