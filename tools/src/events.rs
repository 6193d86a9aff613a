//! Made-up events of a platform: visits, orders with their payments, devices, sign-ins, failures, jobs.
//!
//! Everything follows from a seed and a moment. The same seed has the same users, organizations and
//! devices at every moment; visits, orders and jobs are new ones at another moment, so that seeding
//! twice adds to the first time instead of placing its orders again.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, Datelike as _, SecondsFormat, TimeDelta, Timelike as _, Utc};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Exp, Zipf};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// The most events that one batch may have.
pub const MOST_IN_A_BATCH: usize = 100;

/// Where an event comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A browser.
    Frontend,
    /// A service of the platform.
    Backend,
    /// What the services run on.
    System,
    /// A device.
    IotDevice,
    /// Somebody else's service.
    ExternalApi,
    /// A job.
    Scheduled,
}

/// What kind of thing an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Anything a user does that has no category of its own.
    UserAction,
    /// A page was shown.
    PageView,
    /// A form was sent.
    FormSubmit,
    /// Something was clicked.
    Click,
    /// A user came or changed.
    UserLifecycle,
    /// Money.
    Payment,
    /// Orders.
    Order,
    /// Units of work.
    Task,
    /// The platform itself.
    System,
    /// Sign-ins.
    Security,
    /// Timings.
    Performance,
    /// Failures.
    Error,
    /// Devices as such.
    Device,
    /// A device's state.
    DeviceStatus,
    /// A device's measurements.
    Telemetry,
    /// Orders to a device.
    Command,
    /// Warnings.
    Alert,
}

impl Category {
    /// The word for it in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserAction => "user_action",
            Self::PageView => "page_view",
            Self::FormSubmit => "form_submit",
            Self::Click => "click",
            Self::UserLifecycle => "user_lifecycle",
            Self::Payment => "payment",
            Self::Order => "order",
            Self::Task => "task",
            Self::System => "system",
            Self::Security => "security",
            Self::Performance => "performance",
            Self::Error => "error",
            Self::Device => "device",
            Self::DeviceStatus => "device_status",
            Self::Telemetry => "telemetry",
            Self::Command => "command",
            Self::Alert => "alert",
        }
    }
}

/// An event as a client sends it: an array of these is the body of `POST /api/v1/events/batch`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// What happened.
    pub event_type: &'static str,
    /// Where it comes from.
    pub event_source: Source,
    /// What kind of thing it is about.
    pub event_category: Category,
    /// Whom it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// In which visit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<String>,
    /// On which device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// In which operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The kind of the entity whose stream it joins, together with `entity_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_type: Option<&'static str>,
    /// That entity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_id: Option<String>,
    /// The stream that it joins, named outright.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_id: Option<String>,
    /// The payload.
    pub data: Value,
    /// Circumstances of the request.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub metadata: Value,
    /// Environment and runtime.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub context: Value,
    /// The producer's own.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub properties: Value,
    /// When it happened.
    #[serde(serialize_with = "rfc3339")]
    pub timestamp: DateTime<Utc>,
}

fn rfc3339<S: Serializer>(moment: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&moment.to_rfc3339_opts(SecondsFormat::Micros, true))
}

impl Event {
    fn new(event_type: &'static str, event_source: Source, event_category: Category, timestamp: DateTime<Utc>) -> Self {
        Self {
            event_type,
            event_source,
            event_category,
            user_id: None,
            session_id: None,
            organization_id: None,
            device_id: None,
            correlation_id: None,
            entity_type: None,
            entity_id: None,
            stream_id: None,
            data: Value::Null,
            metadata: Value::Null,
            context: Value::Null,
            properties: Value::Null,
            timestamp,
        }
    }

    /// The stream that the service puts it in; none if it gets a stream of its own.
    #[must_use]
    pub fn stream(&self) -> Option<String> {
        let of = |kind: &str, id: &Option<String>| id.as_ref().map(|id| format!("{kind}:{id}"));
        self.stream_id
            .clone()
            .or_else(|| of(self.entity_type?, &self.entity_id))
            .or_else(|| of("user", &self.user_id))
            .or_else(|| of("device", &self.device_id))
            .or_else(|| of("session", &self.session_id))
            .or_else(|| of("organization", &self.organization_id))
    }
}

/// What the events follow from.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Picks one of many equally likely histories.
    pub seed: u64,
    /// How many events the history has; one user for every twenty.
    pub events: u32,
    /// How many days it takes.
    pub days: u32,
    /// When it ends.
    pub now: DateTime<Utc>,
}

/// A source of events that does not dry up: past [`Settings::events`] the days start over.
///
/// Events come in the order of time, but for what belongs together, which comes at once.
#[derive(Debug)]
pub struct Mix {
    settings: Settings,
    rng: StdRng,
    /// Keeps the visits and orders of one moment apart from those of another.
    salt: u64,
    people: Ranks,
    devices: Ranks,
    hours: Vec<Hour>,
    made: u32,
    joined: u32,
    /// Events that belong to nothing larger, until there is a batch of them.
    loose: Vec<Event>,
    /// Parts of what did not fit one batch.
    parts: VecDeque<Vec<Event>>,
    /// Events for who takes them one by one.
    singles: VecDeque<Event>,
}

/// Users or devices, of which the first ones are the busiest.
#[derive(Debug)]
struct Ranks {
    count: u32,
    skew: Zipf<f64>,
}

/// An hour of the history.
#[derive(Debug)]
struct Hour {
    start: DateTime<Utc>,
    /// How much of all traffic is over when it starts and when it ends, in no particular unit.
    before: f64,
    after: f64,
}

/// What always happens together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    Visit,
    Order,
    Burst,
    Lifecycle,
    SignIn,
    Failure,
    Job,
}

impl Scene {
    /// With the mean number of events of each, about 52 % of all events are of visits, 25 % of
    /// bursts, 10 % of orders.
    const ODDS: [(Self, u32); 7] = [
        (Self::Visit, 325),
        (Self::Order, 150),
        (Self::Burst, 75),
        (Self::Lifecycle, 300),
        (Self::SignIn, 250),
        (Self::Failure, 250),
        (Self::Job, 80),
    ];

    /// Whether its events are one stream's, and sent as one batch.
    const fn is_sent_alone(self) -> bool {
        match self {
            Self::Visit | Self::Order | Self::Burst => true,
            Self::Lifecycle | Self::SignIn | Self::Failure | Self::Job => false,
        }
    }
}

/// A user, the same at every moment.
#[derive(Debug)]
struct Person {
    id: String,
    organization: Option<String>,
    browser: &'static (&'static str, &'static str, u32, u32),
    place: &'static (&'static str, &'static str, &'static str, &'static str),
    plan: &'static str,
    address: String,
}

/// Traffic by the hour of the day, in UTC.
const HOURS: [u32; 24] = [18, 13, 10, 9, 10, 15, 28, 48, 70, 86, 94, 97, 92, 95, 98, 96, 92, 88, 84, 82, 76, 62, 44, 28];
const WEEKDAY: u32 = 10;
const WEEKEND: u32 = 6;

const ORGANIZATIONS: [(&str, u32); 7] =
    [("org_acme", 28), ("org_globex", 18), ("org_initech", 12), ("org_umbrella", 7), ("org_hooli", 4), ("org_stark", 2), ("", 29)];

/// User agent, device, width, height.
const BROWSERS: [(&str, &str, u32, u32); 6] = [
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        "desktop",
        1920,
        1080,
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15",
        "desktop",
        1512,
        982,
    ),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "desktop", 2560, 1440),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148",
        "mobile",
        393,
        852,
    ),
    ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36", "mobile", 412, 915),
    (
        "Mozilla/5.0 (iPad; CPU OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1",
        "tablet",
        820,
        1180,
    ),
];

/// Locale, time zone, country, city.
const PLACES: [(&str, &str, &str, &str); 8] = [
    ("de-DE", "Europe/Berlin", "DE", "Berlin"),
    ("en-GB", "Europe/London", "GB", "Leeds"),
    ("en-US", "America/New_York", "US", "Boston"),
    ("en-US", "America/Los_Angeles", "US", "Portland"),
    ("fr-FR", "Europe/Paris", "FR", "Lyon"),
    ("ja-JP", "Asia/Tokyo", "JP", "Osaka"),
    ("pt-BR", "America/Sao_Paulo", "BR", "Recife"),
    ("zh-CN", "Asia/Shanghai", "CN", "杭州"),
];

const REFERRERS: [(&str, u32); 6] = [
    ("", 40),
    ("https://www.google.com/", 35),
    ("https://news.example.net/spring-collection", 8),
    ("https://www.linkedin.com/feed/", 7),
    ("https://t.co/a8Kq2LmX", 6),
    ("https://partner.example.org/offers?utm_source=newsletter&utm_campaign=autumn", 4),
];

/// Path, title.
const PAGES: [(&str, &str); 12] = [
    ("/", "Home"),
    ("/search?q=desk+lamp", "Search: desk lamp"),
    ("/catalog/lighting", "Lighting"),
    ("/catalog/office", "Office"),
    ("/catalog/office?sort=price&page=2", "Office, page 2"),
    ("/cart", "Your cart"),
    ("/checkout/address", "Checkout: address"),
    ("/checkout/payment", "Checkout: payment"),
    ("/account/orders", "Your orders"),
    ("/account/settings", "Settings"),
    ("/help/shipping", "Shipping and returns"),
    ("/blog/how-we-pack", "How we pack"),
];

const BUTTONS: [(&str, &str); 6] = [
    ("add-to-cart", "Add to cart"),
    ("open-reviews", "Read 214 reviews"),
    ("apply-filter", "Apply"),
    ("save-for-later", "Save for later"),
    ("start-checkout", "Checkout"),
    ("share", "Share"),
];

const FORMS: [(&str, &[&str]); 4] = [
    ("newsletter", &["email"]),
    ("shipping-address", &["name", "street", "postcode", "city", "country"]),
    ("contact", &["email", "topic", "message"]),
    ("review", &["rating", "title", "text"]),
];

/// Number, name, price in cents.
const PRODUCTS: [(&str, &str, u32); 10] = [
    ("LMP-0231", "Desk lamp, brushed steel", 5990),
    ("CHR-1180", "Office chair, mesh back", 24900),
    ("DSK-0044", "Standing desk, 160 cm", 54900),
    ("CBL-0907", "Cable tray", 1995),
    ("KBD-3310", "Keyboard, compact", 8950),
    ("MAT-0102", "Desk mat, felt", 2990),
    ("MON-2741", "Monitor, 27 inch", 31900),
    ("ARM-0550", "Monitor arm", 9900),
    ("NTB-6001", "Notebook, dotted, pack of 3", 1450),
    ("PEN-0088", "Fountain pen", 3800),
];

const CARRIERS: [&str; 4] = ["dhl", "ups", "dpd", "fedex"];
const PLANS: [(&str, u32); 4] = [("free", 60), ("starter", 22), ("team", 14), ("enterprise", 4)];

/// Service, message, exception.
const FAILURES: [(&str, &str, &str); 5] = [
    ("inventory-service", "no answer from the warehouse within 2000 ms", "UpstreamTimeout"),
    ("search-service", "shard 3 of index products-v12 is not ready", "ShardUnavailable"),
    ("media-service", "the image is larger than 20 megapixels", "ImageTooLarge"),
    ("notification-service", "the mail relay refused the recipient: 550 5.1.1", "RecipientRefused"),
    ("checkout-service", "the price changed between cart and checkout", "StalePrice"),
];

const JOBS: [(&str, &str); 4] = [
    ("rebuild-search-index", "0 3 * * *"),
    ("send-invoices", "15 6 * * *"),
    ("expire-carts", "*/10 * * * *"),
    ("sync-exchange-rates", "0 * * * *"),
];

impl Mix {
    /// A mix that follows from `settings` alone.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let events = settings.events.max(1);
        let settings = Settings { events, days: settings.days.clamp(1, 3650), ..settings };
        let now = settings.now.timestamp_micros().unsigned_abs();
        Self {
            settings,
            rng: StdRng::seed_from_u64(settings.seed),
            salt: mixed(&[now]),
            people: Ranks::new(events / 20, 0.8),
            devices: Ranks::new(events / 400, 0.5),
            hours: hours(settings.now, settings.days),
            made: 0,
            joined: 0,
            loose: Vec::new(),
            parts: VecDeque::new(),
            singles: VecDeque::new(),
        }
    }

    /// The next batch, of at most `most` events and never more than [`MOST_IN_A_BATCH`]: a visit, a
    /// device's burst or an order, each of one stream, or what else happens, of many.
    pub fn next_batch(&mut self, most: usize) -> Vec<Event> {
        let most = most.clamp(1, MOST_IN_A_BATCH);
        loop {
            if let Some(part) = self.parts.pop_front() {
                return part;
            }
            if self.loose.len() >= most {
                let rest = self.loose.split_off(most);
                return std::mem::replace(&mut self.loose, rest);
            }
            let (scene, events) = self.next_scene();
            if scene.is_sent_alone() {
                self.parts.extend(events.chunks(most).map(<[Event]>::to_vec));
            } else if self.loose.len() + events.len() > most && !self.loose.is_empty() {
                return std::mem::replace(&mut self.loose, events);
            } else {
                self.loose.extend(events);
            }
        }
    }

    /// How many users there are.
    #[must_use]
    pub const fn users(&self) -> u32 {
        self.people.count
    }

    /// The id of a user; 1 is the busiest. An id beyond the last user is nobody's.
    #[must_use]
    pub fn user_id(&self, rank: u32) -> String {
        format!("usr_{:012x}", mixed(&[self.settings.seed, 1, u64::from(rank)]) >> 16)
    }

    fn next_scene(&mut self) -> (Scene, Vec<Event>) {
        let progress = f64::from(self.made % self.settings.events) / f64::from(self.settings.events);
        let at = self.moment(progress);
        let scene = weighted(&mut self.rng, &Scene::ODDS);
        let mut events = match scene {
            Scene::Visit => self.visit(at),
            Scene::Order => self.order(at),
            Scene::Burst => self.burst(at),
            Scene::Lifecycle => self.lifecycle(at),
            Scene::SignIn => self.sign_in(at),
            Scene::Failure => self.failure(at),
            Scene::Job => self.job(at),
        };
        self.end_by_now(scene, &mut events);
        self.made = self.made.wrapping_add(u32::try_from(events.len()).unwrap_or_default());
        (scene, events)
    }

    /// What would end after now began earlier; an order is still under way instead.
    fn end_by_now(&self, scene: Scene, events: &mut Vec<Event>) {
        let now = self.settings.now;
        if scene == Scene::Order {
            let placed = events.first().map_or(now, |event| event.timestamp);
            events.retain(|event| event.timestamp <= now || event.timestamp == placed);
        }
        let late = events.iter().map(|event| event.timestamp - now).max().unwrap_or_default();
        if late > TimeDelta::zero() {
            for event in events {
                event.timestamp -= late;
            }
        }
    }

    /// The moment at which this part of all traffic is over.
    fn moment(&self, progress: f64) -> DateTime<Utc> {
        let all = self.hours.last().map_or(0.0, |hour| hour.after);
        let target = progress * all;
        let index = self.hours.partition_point(|hour| hour.after <= target);
        let Some(hour) = self.hours.get(index) else { return self.settings.now };
        hour.start + seconds(3600.0 * (target - hour.before) / (hour.after - hour.before))
    }

    fn any_person(&mut self) -> Person {
        let rank = self.people.any(&mut self.rng);
        self.person(rank)
    }

    fn person(&self, rank: u32) -> Person {
        let rng = &mut StdRng::seed_from_u64(mixed(&[self.settings.seed, 2, u64::from(rank)]));
        let organization = weighted(rng, &ORGANIZATIONS);
        Person {
            id: self.user_id(rank),
            organization: (!organization.is_empty()).then(|| organization.to_owned()),
            browser: any(rng, &BROWSERS),
            place: any(rng, &PLACES),
            plan: weighted(rng, &PLANS),
            // Addresses of documentation, which are nobody's.
            address: format!("203.0.113.{}", rng.random_range(1..255)),
        }
    }

    /// An id that is new with each moment that the history ends at.
    fn id(&mut self) -> u64 {
        mixed(&[self.rng.random(), self.salt])
    }

    /// An id in the form of a UUID.
    fn uuid(&mut self) -> String {
        let (high, low) = (self.id(), self.id());
        let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
        format!("{a:08x}-{b:04x}-4{c:03x}-{:04x}-{:012x}", 0x8000 | ((low >> 48) & 0x3fff), low & 0xffff_ffff_ffff)
    }

    /// A service's note on where an event was made.
    fn made_by(&mut self, service: &str) -> Value {
        let host = self.rng.random_range(0..4_u32);
        let region = if host < 3 { "eu-central-1" } else { "us-east-1" };
        json!({
            "service": service, "service_version": "2.14.3", "host": format!("{service}-{host}"), "region": region,
            "request_id": self.uuid(),
        })
    }

    /// Pages, clicks and forms of one visit; a quarter of the visitors has not signed in.
    fn visit(&mut self, mut at: DateTime<Utc>) -> Vec<Event> {
        const LONGEST: usize = 50;
        let person = self.any_person();
        let is_anonymous = self.rng.random_bool(0.25);
        let session = format!("ses_{:016x}", self.id());
        let anonymous = format!("anon_{:012x}", self.id() >> 16);
        let (agent, device, width, height) = *person.browser;
        let (locale, zone, country, city) = *person.place;
        let mut referrer = weighted(&mut self.rng, &REFERRERS).to_owned();
        let mut url = String::new();
        let mut events = Vec::new();
        while events.is_empty() || (events.len() < LONGEST && self.rng.random_bool(0.945)) {
            let turn = if events.is_empty() { 0 } else { self.rng.random_range(0..100) };
            let mut event = match turn {
                0..68 => {
                    let (event, next) = self.page_view(at, &referrer);
                    referrer.clone_from(&next);
                    url = next;
                    event
                }
                68..92 => self.click(at, &url),
                92..97 => self.form_submit(at, &url),
                _ => self.search(at, &url),
            };
            event.session_id = Some(session.clone());
            if is_anonymous {
                event.properties = json!({"anonymous_id": anonymous, "is_returning": false});
            } else {
                event.user_id = Some(person.id.clone());
                event.organization_id.clone_from(&person.organization);
                event.properties = json!({"plan": person.plan, "experiments": {"checkout-v3": self.rng.random_bool(0.5)}});
            }
            event.metadata = json!({"ip_address": person.address, "user_agent": agent, "sdk": {"name": "platform-js", "version": "3.8.1"}});
            event.context = json!({
                "locale": locale, "timezone": zone, "device": device, "screen": {"width": width, "height": height},
                "geo": {"country": country, "city": city},
            });
            events.push(event);
            at += seconds(0.4 + exponential(&mut self.rng, 22.0));
        }
        events
    }

    fn page_view(&mut self, at: DateTime<Utc>, referrer: &str) -> (Event, String) {
        let (path, title) = if self.rng.random_bool(0.45) {
            let (number, name, _) = any(&mut self.rng, &PRODUCTS);
            (format!("/products/{}", number.to_lowercase()), *name)
        } else {
            let (path, title) = any(&mut self.rng, &PAGES);
            ((*path).to_owned(), *title)
        };
        let url = format!("https://shop.example.com{path}");
        let timings = (self.rng.random_range(60..900), self.rng.random_range(300..4200));
        let data = json!({
            "page_url": url, "page_title": title, "referrer": referrer, "first_byte_ms": timings.0, "load_ms": timings.1,
        });
        (Event { data, ..Event::new("page.viewed", Source::Frontend, Category::PageView, at) }, url)
    }

    fn click(&mut self, at: DateTime<Utc>, url: &str) -> Event {
        let (element, text) = any(&mut self.rng, &BUTTONS);
        let (x, y) = (self.rng.random_range(0..1400), self.rng.random_range(0..900));
        let data = json!({"page_url": url, "element_id": element, "text": text, "x": x, "y": y});
        Event { data, ..Event::new("element.clicked", Source::Frontend, Category::Click, at) }
    }

    fn form_submit(&mut self, at: DateTime<Utc>, url: &str) -> Event {
        let (form, fields) = any(&mut self.rng, &FORMS);
        let data = json!({
            "page_url": url, "form_id": form, "fields": fields, "is_valid": self.rng.random_bool(0.9),
            "seconds_to_fill": self.rng.random_range(4..180),
        });
        Event { data, ..Event::new("form.submitted", Source::Frontend, Category::FormSubmit, at) }
    }

    fn search(&mut self, at: DateTime<Utc>, url: &str) -> Event {
        let (_, name, _) = any(&mut self.rng, &PRODUCTS);
        let data = json!({
            "page_url": url, "query": name.to_lowercase(), "results": self.rng.random_range(0..180),
            "took_ms": self.rng.random_range(8..240),
        });
        Event { data, ..Event::new("search.performed", Source::Frontend, Category::UserAction, at) }
    }

    /// An order from its placing to its end, with its payment, in the stream of the order.
    fn order(&mut self, at: DateTime<Utc>) -> Vec<Event> {
        let person = self.any_person();
        let order = format!("ord_{:012x}", self.id() >> 16);
        let payment = format!("pay_{:012x}", self.id() >> 16);
        let correlation = self.uuid();
        let (items, totals) = self.basket();
        let (_, _, country, city) = *person.place;
        let brand = if self.rng.random_bool(0.6) { "visa" } else { "mastercard" };
        let card = json!({"brand": brand, "last4": format!("{:04}", self.rng.random_range(0..10_000))});
        let charge = |state: &str| {
            json!({
                "payment_id": payment, "order_id": order, "provider": "stripe", "status": state, "amount": totals["total"],
                "currency": "EUR", "method": "card", "card": card,
            })
        };
        let placed = json!({
            "order_id": order, "items": items, "totals": totals, "currency": "EUR", "channel": "web",
            "shipping_address": {"country": country, "city": city},
        });
        let paid_after = seconds(3.0 + exponential(&mut self.rng, 20.0));
        let mut story = vec![
            ("order.placed", Category::Order, TimeDelta::zero(), placed),
            ("payment.authorized", Category::Payment, paid_after - TimeDelta::seconds(2), charge("authorized")),
        ];
        if self.rng.random_bool(0.06) {
            story[1] = ("payment.failed", Category::Payment, paid_after, charge("declined"));
            let data = json!({"order_id": order, "reason": "payment_declined", "restocked_items": items});
            story.push(("order.cancelled", Category::Order, paid_after + TimeDelta::minutes(30), data));
        } else {
            let data = json!({"order_id": order, "payment_id": payment, "totals": totals, "currency": "EUR"});
            story.push(("order.paid", Category::Order, paid_after, data));
            story.extend(self.delivery(&order, paid_after, charge("captured")));
        }
        let told = story.into_iter().map(|(event_type, category, after, data)| {
            let is_payment = category == Category::Payment;
            let source = if is_payment { Source::ExternalApi } else { Source::Backend };
            Event {
                user_id: Some(person.id.clone()),
                organization_id: person.organization.clone(),
                correlation_id: Some(correlation.clone()),
                // Both ways to name the same stream.
                entity_type: (!is_payment).then_some("order"),
                entity_id: (!is_payment).then(|| order.clone()),
                stream_id: is_payment.then(|| format!("order:{order}")),
                data,
                metadata: self.made_by(if is_payment { "payment-gateway" } else { "order-service" }),
                ..Event::new(event_type, source, category, at + after)
            }
        });
        told.collect()
    }

    /// What is bought, and what it costs.
    fn basket(&mut self) -> (Vec<Value>, Value) {
        let mut cents = 0;
        let lines = (0..self.rng.random_range(1..=4)).map(|_| {
            let (number, name, price) = any(&mut self.rng, &PRODUCTS);
            let quantity = self.rng.random_range(1..=3);
            cents += price * quantity;
            json!({"sku": number, "name": name, "quantity": quantity, "unit_price": euros(*price)})
        });
        let items = lines.collect();
        let shipping = if cents >= 5000 { 0 } else { 495 };
        (items, json!({"subtotal": euros(cents), "shipping": euros(shipping), "total": euros(cents + shipping)}))
    }

    fn delivery(&mut self, order: &str, paid_after: TimeDelta, captured: Value) -> [(&'static str, Category, TimeDelta, Value); 3] {
        let shipped_after = paid_after + seconds(3600.0 * self.rng.random_range(5.0..40.0));
        let delivered_after = shipped_after + seconds(3600.0 * self.rng.random_range(16.0..80.0));
        let carrier = any(&mut self.rng, &CARRIERS);
        let tracking = format!("{}{:014}", carrier.to_uppercase(), self.id() % 100_000_000_000_000);
        let shipped = json!({"order_id": order, "carrier": carrier, "tracking_number": tracking, "parcels": 1, "warehouse": "BER-2"});
        let delivered = json!({"order_id": order, "carrier": carrier, "tracking_number": tracking, "left_with": "recipient"});
        [
            ("payment.captured", Category::Payment, shipped_after - TimeDelta::minutes(5), captured),
            ("order.shipped", Category::Order, shipped_after, shipped),
            ("order.delivered", Category::Order, delivered_after, delivered),
        ]
    }

    /// A device wakes up, reports what it measured, and may have something to say of itself.
    fn burst(&mut self, mut at: DateTime<Utc>) -> Vec<Event> {
        let rank = self.devices.any(&mut self.rng);
        let traits = &mut StdRng::seed_from_u64(mixed(&[self.settings.seed, 3, u64::from(rank)]));
        let device = format!("dev_{:010x}", mixed(&[self.settings.seed, 4, u64::from(rank)]) >> 24);
        let organization = weighted(traits, &ORGANIZATIONS);
        let base: f64 = traits.random_range(17.0..24.0);
        let mut battery = self.rng.random_range(12.0..100.0);
        let firmware = if traits.random_bool(0.7) { "4.2.0" } else { "4.1.7" };
        let step = seconds(traits.random_range(5.0..30.0));
        let mut events = Vec::new();
        if self.rng.random_bool(0.1) {
            let data = json!({
                "command": "set_interval", "arguments": {"seconds": step.num_seconds()}, "issued_by": "fleet-controller",
                "expires_in_s": 3600,
            });
            let metadata = self.made_by("fleet-service");
            events.push(Event { data, metadata, ..Event::new("device.command_sent", Source::Backend, Category::Command, at) });
            at += seconds(1.5);
        }
        if self.rng.random_bool(0.3) {
            let data = json!({
                "status": "online", "previous": "sleeping", "uptime_s": self.rng.random_range(1..900_000),
                "reconnects": self.rng.random_range(0..6),
            });
            events.push(Event { data, ..Event::new("device.status_changed", Source::IotDevice, Category::DeviceStatus, at) });
            at += seconds(0.2);
        }
        if self.rng.random_bool(0.04) {
            let data = json!({"from": "4.1.7", "to": firmware, "took_s": self.rng.random_range(40..300), "slot": "b"});
            events.push(Event { data, ..Event::new("device.firmware_updated", Source::IotDevice, Category::Device, at) });
            at += seconds(2.0);
        }
        for sequence in 0..self.rng.random_range(15..=45) {
            let celsius = base + self.rng.random_range(-1.5..1.5);
            battery -= 0.01;
            let data = json!({
                "temperature_c": rounded(celsius), "humidity_pct": rounded(self.rng.random_range(30.0..65.0)),
                "battery_pct": rounded(battery), "rssi_dbm": -self.rng.random_range(40..95), "sequence": sequence,
            });
            events.push(Event { data, ..Event::new("telemetry.reported", Source::IotDevice, Category::Telemetry, at) });
            at += step;
        }
        if battery < 20.0 {
            let data = json!({"alert": "battery_low", "severity": "warning", "battery_pct": rounded(battery), "threshold_pct": 20});
            events.push(Event { data, ..Event::new("device.alert_raised", Source::IotDevice, Category::Alert, at) });
        }
        for event in &mut events {
            event.device_id = Some(device.clone());
            event.organization_id = (!organization.is_empty()).then(|| organization.to_owned());
            event.context = json!({"model": "SN-200", "firmware": firmware, "gateway": format!("gw-{}", rank % 9)});
        }
        events
    }

    /// A user joins, or changes something.
    fn lifecycle(&mut self, at: DateTime<Utc>) -> Vec<Event> {
        // Who joins during the history is never among its busiest.
        let joins = self.joined < self.people.count / 2 && self.rng.random_bool(0.4);
        let person = if joins {
            self.joined += 1;
            self.person(self.people.count + 1 - self.joined)
        } else {
            self.any_person()
        };
        let (locale, zone, country, _) = *person.place;
        let (event_type, data) = if joins {
            let data = json!({
                "email": format!("{}@example.com", person.id), "plan": person.plan, "locale": locale, "timezone": zone, "country": country,
                "signup_method": if self.rng.random_bool(0.6) { "password" } else { "google" },
                "marketing_consent": self.rng.random_bool(0.4),
            });
            ("user.created", data)
        } else if self.rng.random_bool(0.12) {
            (
                "user.plan_changed",
                json!({"from": "free", "to": person.plan, "billing_period": "monthly", "reason": "self_service", "seats": 1}),
            )
        } else {
            let changes = any(&mut self.rng, &["display_name", "avatar_url", "phone", "interests"]);
            let data = json!({"changed_fields": [changes], "changed_by": "user", "locale": locale, "timezone": zone});
            ("user.profile_updated", data)
        };
        vec![Event {
            user_id: Some(person.id),
            organization_id: person.organization,
            correlation_id: Some(self.uuid()),
            data,
            metadata: self.made_by("account-service"),
            ..Event::new(event_type, Source::Backend, Category::UserLifecycle, at)
        }]
    }

    /// A user signs in, sometimes after failing to.
    fn sign_in(&mut self, mut at: DateTime<Utc>) -> Vec<Event> {
        let person = self.any_person();
        let (agent, device, ..) = *person.browser;
        let (_, _, country, city) = *person.place;
        let correlation = self.uuid();
        let failures = if self.rng.random_bool(0.2) { self.rng.random_range(1..=4) } else { 0 };
        let mut events = Vec::new();
        for attempt in 0..=failures {
            let succeeds = attempt == failures;
            let data = json!({
                "method": "password", "reason": if succeeds { Value::Null } else { json!("wrong_password") },
                "mfa": succeeds && self.rng.random_bool(0.35), "device": device, "country": country, "city": city,
                "attempt": attempt + 1,
            });
            let event_type = if succeeds { "user.logged_in" } else { "user.login_failed" };
            events.push(Event {
                user_id: Some(person.id.clone()),
                organization_id: person.organization.clone(),
                correlation_id: Some(correlation.clone()),
                data,
                metadata: json!({"service": "auth-service", "ip_address": person.address, "user_agent": agent}),
                ..Event::new(event_type, Source::Backend, Category::Security, at)
            });
            at += seconds(3.0 + exponential(&mut self.rng, 8.0));
        }
        events
    }

    /// Something breaks, or is slow; now and then somebody is woken up.
    fn failure(&mut self, at: DateTime<Utc>) -> Vec<Event> {
        let (service, message, exception) = any(&mut self.rng, &FAILURES);
        let correlation = Some(self.uuid());
        let metadata = self.made_by(service);
        if self.rng.random_bool(0.35) {
            let (p50, p99) = (self.rng.random_range(4..40), self.rng.random_range(60..2500));
            let data = json!({
                "service": service, "window_s": 60, "requests": self.rng.random_range(200..9000), "p50_ms": p50, "p99_ms": p99,
                "error_rate_pct": rounded(self.rng.random_range(0.0..3.0)),
            });
            return vec![Event { data, metadata, ..Event::new("service.latency_measured", Source::System, Category::Performance, at) }];
        }
        // Two in three failures meet a user.
        let person = self.rng.random_bool(0.66).then(|| self.any_person());
        let data = json!({
            "service": service, "message": message, "exception": exception, "handled": true,
            "stack": [format!("{service}::handle"), format!("{service}::call_upstream"), "runtime::poll"],
            "fingerprint": format!("{:016x}", mixed(&[u64::try_from(message.len()).unwrap_or_default()])),
        });
        let mut events = vec![Event {
            user_id: person.as_ref().map(|person| person.id.clone()),
            organization_id: person.and_then(|person| person.organization),
            correlation_id: correlation.clone(),
            data,
            metadata: metadata.clone(),
            ..Event::new("service.failed", Source::Backend, Category::Error, at)
        }];
        if self.rng.random_bool(0.2) {
            let alert = format!("alr_{:010x}", self.id() >> 24);
            for (event_type, after, state) in [("alert.raised", 30, "firing"), ("alert.resolved", 900, "resolved")] {
                let rule = "error_rate > 2 % for 5 m";
                let data = json!({"alert_id": alert, "state": state, "severity": "warning", "rule": rule, "service": service});
                events.push(Event {
                    correlation_id: correlation.clone(),
                    entity_type: Some("alert"),
                    entity_id: Some(alert.clone()),
                    data,
                    metadata: metadata.clone(),
                    ..Event::new(event_type, Source::System, Category::Alert, at + TimeDelta::seconds(after))
                });
            }
        }
        events
    }

    /// A scheduled job runs; some runs lead to a deployment's or a backup's note.
    fn job(&mut self, at: DateTime<Utc>) -> Vec<Event> {
        let (job, schedule) = any(&mut self.rng, &JOBS);
        let run = format!("run_{:012x}", self.id() >> 16);
        let metadata = self.made_by("scheduler");
        let took = 2.0 + exponential(&mut self.rng, 40.0);
        let last = if self.rng.random_bool(0.95) { "job.completed" } else { "job.failed" };
        let items = self.rng.random_range(0..20_000);
        let start = json!({"job": job, "run_id": run, "schedule": schedule, "attempt": 1, "queue": "default"});
        let end =
            json!({"job": job, "run_id": run, "duration_s": rounded(took), "items": items, "memory_mb": self.rng.random_range(40..900)});
        let mut events = vec![
            Event { data: start, ..Event::new("job.started", Source::Scheduled, Category::Task, at) },
            Event { data: end, ..Event::new(last, Source::Scheduled, Category::Task, at + seconds(took)) },
        ];
        if self.rng.random_bool(0.3) {
            let data =
                json!({"kind": "snapshot", "run_id": run, "bytes": items * 512, "target": "s3://platform-backups/daily", "verified": true});
            events.push(Event { data, ..Event::new("system.backup_taken", Source::System, Category::System, at + seconds(took + 1.0)) });
        }
        for event in &mut events {
            event.correlation_id = Some(run.clone());
            event.entity_type = Some("job");
            event.entity_id = Some(run.clone());
            event.metadata = metadata.clone();
        }
        events
    }
}

/// Events one by one, without end.
impl Iterator for Mix {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        while self.singles.is_empty() {
            let (_, events) = self.next_scene();
            self.singles.extend(events);
        }
        self.singles.pop_front()
    }
}

impl Ranks {
    fn new(count: u32, exponent: f64) -> Self {
        const FEWEST: u32 = 10;
        let count = count.max(FEWEST);
        #[expect(clippy::expect_used, reason = "the count is positive and the exponents are constants above zero")]
        let skew = Zipf::new(f64::from(count), exponent).expect("a Zipf distribution");
        Self { count, skew }
    }

    /// One of them, from 1.
    fn any(&self, rng: &mut StdRng) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sample is a whole number from 1 to the count")]
        let rank = rng.sample(self.skew) as u32;
        rank.clamp(1, self.count)
    }
}

/// The hours up to `now`, and the traffic of each.
fn hours(now: DateTime<Utc>, days: u32) -> Vec<Hour> {
    let mut start = now - TimeDelta::days(i64::from(days));
    let mut before = 0.0;
    let mut hours = Vec::new();
    for _ in 0..days * 24 {
        let is_weekend = matches!(start.weekday(), chrono::Weekday::Sat | chrono::Weekday::Sun);
        let of_day = HOURS.iter().zip(0..).find_map(|(traffic, hour)| (hour == start.hour()).then_some(*traffic)).unwrap_or(1);
        let after = before + f64::from(of_day * if is_weekend { WEEKEND } else { WEEKDAY });
        hours.push(Hour { start, before, after });
        start += TimeDelta::hours(1);
        before = after;
    }
    hours
}

/// One of `rows`, each as likely as the number beside it says.
fn weighted<T: Copy>(rng: &mut StdRng, rows: &[(T, u32)]) -> T {
    let mut left = rng.random_range(0..rows.iter().map(|row| row.1).sum());
    for (value, weight) in rows {
        if left < *weight {
            return *value;
        }
        left -= weight;
    }
    rows[0].0
}

/// One of `rows`, all equally likely.
fn any<'a, T>(rng: &mut StdRng, rows: &'a [T]) -> &'a T {
    &rows[rng.random_range(0..rows.len())]
}

/// A waiting time, in seconds.
fn exponential(rng: &mut StdRng, mean: f64) -> f64 {
    Exp::new(1.0 / mean).map_or(mean, |waiting| rng.sample(waiting))
}

fn seconds(number: f64) -> TimeDelta {
    let micros = Duration::try_from_secs_f64(number).unwrap_or_default().as_micros();
    TimeDelta::microseconds(i64::try_from(micros).unwrap_or_default())
}

fn euros(cents: u32) -> f64 {
    f64::from(cents) / 100.0
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// All of `parts` in one number, any bit of which depends on every bit of theirs (SplitMix64).
fn mixed(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |state, part| {
        let mut bits = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, HashMap};

    use super::*;

    const EVENTS: u32 = 8_000;

    fn settings() -> Settings {
        // A Sunday.
        let now = DateTime::parse_from_rfc3339("2025-11-23T21:00:00.123456Z").unwrap().to_utc();
        Settings { seed: 42, events: EVENTS, days: 7, now }
    }

    /// Batches of a whole history.
    fn batches(settings: Settings) -> Vec<Vec<Event>> {
        let mut mix = Mix::new(settings);
        let mut left = EVENTS as usize;
        let mut batches = Vec::new();
        while left > 0 {
            let batch = mix.next_batch(50);
            left = left.saturating_sub(batch.len());
            batches.push(batch);
        }
        batches
    }

    fn events() -> Vec<Event> {
        batches(settings()).concat()
    }

    #[test]
    fn the_same_seed_gives_the_same_events_and_another_seed_others() {
        assert_eq!(batches(settings()), batches(settings()));
        assert_ne!(batches(settings()), batches(Settings { seed: 43, ..settings() }));
    }

    #[test]
    fn another_moment_has_the_same_users_and_new_orders() {
        let (before, later) = (events(), batches(Settings { now: settings().now + TimeDelta::days(7), ..settings() }).concat());
        let ids = |of: fn(&Event) -> &Option<String>| {
            let of_both = [&before, &later].map(|events| events.iter().filter_map(|event| of(event).clone()).collect::<BTreeSet<_>>());
            assert!(of_both.iter().all(|ids| !ids.is_empty()));
            of_both
        };
        for [before, later] in [ids(|event| &event.user_id), ids(|event| &event.device_id)] {
            assert_eq!(before, later);
        }
        for [before, later] in [ids(|event| &event.session_id), ids(|event| &event.entity_id), ids(|event| &event.correlation_id)] {
            assert!(before.is_disjoint(&later));
        }
    }

    #[test]
    fn every_event_has_what_the_service_asks_for() {
        const SOURCES: &str = "frontend backend system iot_device external_api scheduled";
        const CATEGORIES: &str = "user_action page_view form_submit click user_lifecycle payment order task system security performance \
                                  error device device_status telemetry command alert";
        let settings = settings();
        let mut seen = [BTreeSet::new(), BTreeSet::new()];
        for event in events() {
            let json = serde_json::to_value(&event).unwrap();
            let text = |field: &str| json.get(field).map(|value| value.as_str().unwrap().to_owned());
            assert!(text("event_type").is_some_and(|name| (1..=255).contains(&name.len()) && name.contains('.')), "{json}");
            seen[0].extend(text("event_source"));
            seen[1].extend(text("event_category"));
            assert_eq!(text("event_category").unwrap(), event.event_category.as_str());
            for field in
                ["user_id", "session_id", "organization_id", "device_id", "correlation_id", "entity_type", "entity_id", "stream_id"]
            {
                assert!(text(field).is_none_or(|id| !id.trim().is_empty() && id.len() <= 128), "{field} of {json}");
            }
            assert_eq!(event.entity_type.is_some(), event.entity_id.is_some(), "{json}");
            assert!(text("stream_id").is_none_or(|stream| stream.contains(':')), "{json}");
            for field in ["data", "metadata", "context", "properties"] {
                assert!(json.get(field).is_none_or(serde_json::Value::is_object), "{field} of {json}");
            }
            let timestamp = text("timestamp").unwrap();
            assert_eq!(DateTime::parse_from_rfc3339(&timestamp).unwrap(), event.timestamp);
            // What ends after now is moved back, by an hour at most.
            let start = settings.now - TimeDelta::days(7) - TimeDelta::hours(1);
            assert!(timestamp.ends_with('Z') && (start..=settings.now).contains(&event.timestamp), "{json}");
        }
        for (seen, allowed) in seen.iter().zip([SOURCES, CATEGORIES]) {
            assert_eq!(*seen, allowed.split_whitespace().map(str::to_owned).collect());
        }
    }

    #[test]
    fn most_events_have_300_to_1200_bytes() {
        let sizes: Vec<_> = events().iter().map(|event| serde_json::to_vec(event).unwrap().len()).collect();
        let usual = sizes.iter().filter(|size| (300..=1200).contains(*size)).count();
        assert!(usual * 100 > sizes.len() * 95, "{usual} of {}", sizes.len());
        assert!(sizes.iter().all(|size| (200..2000).contains(size)), "{:?} {:?}", sizes.iter().min(), sizes.iter().max());
    }

    #[test]
    fn a_few_users_cause_much_of_the_traffic() {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for user in events().into_iter().filter_map(|event| event.user_id) {
            *counts.entry(user).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let all: usize = counts.iter().sum();
        let top: usize = counts.iter().take(counts.len() / 10).sum();
        assert!(top * 100 > all * 35, "the first tenth of {} users has {top} of {all} events", counts.len());
        assert!(counts.len() > EVENTS as usize / 40, "{} users", counts.len());
        assert!(counts[0] * 10 < all, "one user has {} of {all} events", counts[0]);
    }

    #[test]
    fn a_batch_has_as_many_events_as_asked_for_and_never_more_than_100() {
        for (asked, most) in [(0, 1), (1, 1), (7, 7), (50, 50), (100, 100), (1000, 100)] {
            let mut mix = Mix::new(settings());
            for _ in 0..300 {
                let size = mix.next_batch(asked).len();
                assert!((1..=most).contains(&size), "{size} for {asked}");
            }
        }
    }

    #[test]
    fn visits_bursts_and_orders_are_batches_of_one_stream() {
        let batches = batches(settings());
        let streams = |batch: &[Event]| batch.iter().map(Event::stream).collect::<BTreeSet<_>>().len();
        for batch in &batches {
            let first = batch[0].event_category;
            let alone = batch[0].event_source == Source::Frontend || matches!(first, Category::Order | Category::Telemetry);
            assert!(!alone || streams(batch) == 1, "{batch:?}");
        }
        let mixed = batches.iter().filter(|batch| streams(batch) > 1).count();
        assert!(mixed > 0 && mixed * 10 < batches.len(), "{mixed} of {}", batches.len());
    }

    #[test]
    fn an_order_tells_one_story_in_the_order_of_time() {
        let mut orders: BTreeMap<String, Vec<Event>> = BTreeMap::new();
        for event in events() {
            if let Some(stream) = event.stream().filter(|stream| stream.starts_with("order:")) {
                orders.entry(stream).or_default().push(event);
            }
        }
        let mut ends = BTreeSet::new();
        for story in orders.values() {
            assert_eq!(story[0].event_type, "order.placed");
            assert!(story.iter().all(|event| event.correlation_id == story[0].correlation_id && event.user_id == story[0].user_id));
            assert!(story.is_sorted_by_key(|event| event.timestamp), "{story:?}");
            ends.extend(story.last().map(|event| event.event_type));
            let cents = |value: &Value| (value.as_f64().unwrap() * 100.0).round();
            let items = story[0].data["items"].as_array().unwrap();
            let sum: f64 = items.iter().map(|item| cents(&item["unit_price"]) * item["quantity"].as_f64().unwrap()).sum();
            let totals = &story[0].data["totals"];
            assert!((sum - cents(&totals["subtotal"])).abs() < 0.5 && cents(&totals["total"]) >= sum, "{totals}");
        }
        assert!(orders.len() > 100);
        for end in ["order.delivered", "order.shipped", "order.cancelled"] {
            assert!(ends.contains(end), "{ends:?}");
        }
    }

    #[test]
    fn a_quarter_of_the_page_views_is_anonymous() {
        let views: Vec<_> = events().into_iter().filter(|event| event.event_category == Category::PageView).collect();
        let anonymous = views.iter().filter(|event| event.user_id.is_none()).count();
        assert!((20..=30).contains(&(anonymous * 100 / views.len())), "{anonymous} of {}", views.len());
    }

    #[test]
    fn some_events_belong_to_organizations_and_some_do_not() {
        let events = events();
        let organizations: BTreeSet<_> = events.iter().filter_map(|event| event.organization_id.clone()).collect();
        assert_eq!(organizations.len(), ORGANIZATIONS.len() - 1);
        assert!(events.iter().any(|event| event.organization_id.is_none()));
        // A stream is one organization's.
        let mut owners: HashMap<String, BTreeSet<Option<String>>> = HashMap::new();
        for event in events {
            if let Some(stream) = event.stream() {
                owners.entry(stream).or_default().insert(event.organization_id);
            }
        }
        for (stream, owners) in owners {
            assert_eq!(owners.len(), 1, "{stream}");
        }
    }

    #[test]
    fn nights_are_quieter_than_days() {
        let mut by_hour = [0; 24];
        for event in events() {
            by_hour[event.timestamp.hour() as usize] += 1;
        }
        let (night, day): (u32, u32) = (by_hour[1..5].iter().sum(), by_hour[9..13].iter().sum());
        assert!(night * 4 < day, "{by_hour:?}");
    }

    #[test]
    fn single_events_go_on_past_the_end_of_the_history() {
        let mut mix = Mix::new(Settings { events: 100, ..settings() });
        let busiest = mix.user_id(1);
        let taken: Vec<_> = mix.by_ref().take(1000).collect();
        assert_eq!(taken.len(), 1000);
        assert!(taken.iter().any(|event| event.user_id.as_ref() == Some(&busiest)));
        assert_eq!(mix.users(), 10);
    }
}
