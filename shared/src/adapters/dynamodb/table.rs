//! The table's definition: what tests, the local process and the deployment all create.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType, ScalarAttributeType,
    StreamSpecification, StreamViewType, TimeToLiveSpecification,
};

use super::items::{COMMIT_SK, COUNT};
use super::keys::{EXPIRES, ORDER, PK, SESSION, SESSION_INDEX, SK, TIME, TIME_INDEX, WHO, WHO_INDEX};

/// One index of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexDefinition {
    /// Its name.
    pub name: &'static str,
    /// Its partition key, a text.
    pub partition_key: &'static str,
    /// Its sort key, a text.
    pub sort_key: &'static str,
    /// The attributes that it holds besides the keys; all if none are named.
    pub includes: Option<&'static [&'static str]>,
}

/// The name of the table unless configuration says otherwise.
pub const DEFAULT_NAME: &str = "events";
/// The table's partition key, a text.
pub const PARTITION_KEY: &str = PK;
/// The table's sort key, a text.
pub const SORT_KEY: &str = SK;
/// The attribute that says when an item expires, in seconds since 1970.
pub const EXPIRY: &str = EXPIRES;
/// The table's indexes.
pub const INDEXES: [IndexDefinition; 3] = [
    IndexDefinition { name: TIME_INDEX, partition_key: TIME, sort_key: ORDER, includes: None },
    IndexDefinition { name: WHO_INDEX, partition_key: WHO, sort_key: ORDER, includes: Some(&[COUNT, COMMIT_SK]) },
    IndexDefinition { name: SESSION_INDEX, partition_key: SESSION, sort_key: ORDER, includes: Some(&[COUNT]) },
];

/// The table could not be created.
#[derive(Debug, thiserror::Error)]
#[error("the table could not be created")]
pub struct CreateError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// Creates the table, with its stream and its expiry, unless it exists.
///
/// # Errors
/// [`CreateError`] if the store refuses or does not answer.
pub async fn create(client: &Client, name: &str) -> Result<(), CreateError> {
    let failed = |error: aws_sdk_dynamodb::error::BuildError| CreateError(error.into());
    let mut create = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(key(PARTITION_KEY, KeyType::Hash).map_err(failed)?)
        .key_schema(key(SORT_KEY, KeyType::Range).map_err(failed)?)
        .stream_specification(
            StreamSpecification::builder()
                .stream_enabled(true)
                .stream_view_type(StreamViewType::NewAndOldImages)
                .build()
                .map_err(failed)?,
        );
    let mut attributes = vec![PARTITION_KEY, SORT_KEY];
    attributes.extend(INDEXES.iter().flat_map(|index| [index.partition_key, index.sort_key]));
    attributes.sort_unstable();
    attributes.dedup();
    for attribute in attributes {
        let definition = AttributeDefinition::builder().attribute_name(attribute).attribute_type(ScalarAttributeType::S).build();
        create = create.attribute_definitions(definition.map_err(failed)?);
    }
    for index in INDEXES {
        let projection = match index.includes {
            None => Projection::builder().projection_type(ProjectionType::All),
            Some(names) => Projection::builder()
                .projection_type(ProjectionType::Include)
                .set_non_key_attributes(Some(names.iter().map(|name| (*name).to_owned()).collect())),
        };
        let definition = GlobalSecondaryIndex::builder()
            .index_name(index.name)
            .key_schema(key(index.partition_key, KeyType::Hash).map_err(failed)?)
            .key_schema(key(index.sort_key, KeyType::Range).map_err(failed)?)
            .projection(projection.build())
            .build();
        create = create.global_secondary_indexes(definition.map_err(failed)?);
    }
    match create.send().await {
        Ok(_) => {}
        Err(error) if matches!(error.as_service_error(), Some(CreateTableError::ResourceInUseException(_))) => return Ok(()),
        Err(error) => return Err(CreateError(error.into())),
    }
    let expiry = TimeToLiveSpecification::builder().attribute_name(EXPIRY).enabled(true).build().map_err(failed)?;
    client
        .update_time_to_live()
        .table_name(name)
        .time_to_live_specification(expiry)
        .send()
        .await
        .map_err(|error| CreateError(error.into()))?;
    Ok(())
}

fn key(attribute: &str, kind: KeyType) -> Result<KeySchemaElement, aws_sdk_dynamodb::error::BuildError> {
    KeySchemaElement::builder().attribute_name(attribute).key_type(kind).build()
}
