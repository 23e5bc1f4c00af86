#pragma once

#include "protocol/base/error.hpp"
#include "trainer_host/fleet/registry/sqlite.hpp"

namespace outcrop::fleet {

// The tables of the registry. PRAGMA user_version holds the version of the schema, application_id
// says that the file is ours.
inline constexpr std::int64_t schema_version = 11;

// The version of the file, 0 for an empty one; nothing is changed. unsupported where it is newer
// than schema_version, invalid_data where it belongs to another program.
[[nodiscard]] Result<std::int64_t> check_schema(Database& database);

// Brings an empty or older file to `to`, all or nothing. Errors as of check_schema().
[[nodiscard]] Status bring_to_schema(Database& database, std::int64_t to = schema_version);

}  // namespace outcrop::fleet
