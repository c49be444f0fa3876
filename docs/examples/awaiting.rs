//! Appending and following without blocking a thread, on a runtime of two dozen lines in place of yours.

use std::{
    error::Error,
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use annals::{Delivery, EventData, EventStore, ExpectedVersion, Query, StreamId};

fn main() -> Result<(), Box<dyn Error>> {
    let store = EventStore::open("remarks.annals")?;
    block_on(remark(&store))?;
    store.close()?;
    Ok(())
}

async fn remark(store: &EventStore) -> Result<(), Box<dyn Error>> {
    let remarks = StreamId::new("remarks")?;
    let mut subscription = store.subscribe(Query::stream(&remarks));

    let remark = EventData::json("RemarkMade", &"too loud")?;
    let appended = store.try_submit(&remarks, ExpectedVersion::Any, [remark])?.await?;

    while let Some(delivery) = poll_fn(|context| subscription.poll_delivery(context)).await {
        if let Delivery::Event(event) = delivery? {
            assert_eq!(event.version, appended.version);
            break;
        }
    }
    Ok(())
}

/// Runs a future on this thread, which sleeps while there is nothing to do for it.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => return outcome,
            Poll::Pending => thread::park(),
        }
    }
}
