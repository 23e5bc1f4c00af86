#pragma once

#include "protocol/base/error.hpp"
#include "trainer_host/fleet/registry/sqlite.hpp"

namespace outcrop::fleet {

// The tables of the registry. PRAGMA user_version holds the version of the schema, application_id
// says that the file is ours.
inline constexpr std::int64_t schema_version = 1;

// Brings an empty or older file to schema_version, all or nothing. unsupported where the file is
// newer, invalid_data where it belongs to another program.
[[nodiscard]] Status bring_to_schema(Database& database);

}  // namespace outcrop::fleet
