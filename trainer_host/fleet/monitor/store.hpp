#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "trainer_host/fleet/monitor/history_file.hpp"
#include "trainer_host/fleet/monitor/tables.hpp"

namespace outcrop::fleet::monitor {

// Where the spans of a history are: files of SQLite, or partitions of PostgreSQL. One thread writes; list(), read() and size() are
// for any.
class Store {
 public:
  virtual ~Store() = default;

  // By kind and time.
  [[nodiscard]] virtual Result<std::vector<FileSpan>> list() = 0;
  // To read, by the thread that asks, while the store lives; none where there is no such span.
  [[nodiscard]] virtual Result<std::unique_ptr<Tables>> read(const FileSpan& span) = 0;
  // What all of it takes.
  [[nodiscard]] virtual Result<ByteCount> size() = 0;

  // Made where it is missing; valid until release_some() or remove(). unsupported where a newer outcropd wrote it.
  [[nodiscard]] virtual Result<Tables*> open(const FileSpan& span) = 0;
  // All or nothing of what `work` writes to this span; when it returns, it is on the disk.
  [[nodiscard]] virtual Status in_transaction(const FileSpan& span, const std::function<Status(Tables&)>& work) = 0;
  [[nodiscard]] virtual Status remove(const FileSpan& span) = 0;
  // What is not needed at the moment. Not while a transaction is under way.
  virtual void release_some() = 0;
};

[[nodiscard]] std::unique_ptr<Store> open_file_store(const std::filesystem::path& folder);

// PostgreSQL by libpq (https://www.postgresql.org/docs/15/libpq-connect.html), named by a URL. Connects when it is first
// needed, and anew where a connection was lost. One outcropd keeps its history in a database.
//
//   schema outcrop                  version; and raw, raw_key, hour, hour_key, day, day_key, measured, over all spans: for
//                                   people's own queries
//   schema outcrop_raw_2026_11_29   the partitions of one span, by the names that its SQLite file has. What is old goes by
//                                   dropping the schema
//
// unsupported where this program was built without libpq, invalid_argument where the text is no such URL.
[[nodiscard]] Result<std::unique_ptr<Store>> open_postgres_store(const std::string& url);
// Whether a history can be kept there: the server answers, its version, encoding, and what this user may do; that no newer outcropd
// wrote it. Changes nothing. Errors name server and database, never a password.
[[nodiscard]] Status check_postgres_store(const std::string& url);
[[nodiscard]] bool has_postgres();

}  // namespace outcrop::fleet::monitor
