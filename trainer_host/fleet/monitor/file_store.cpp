#include <sys/stat.h>

#include <array>
#include <map>

#include <spdlog/spdlog.h>

#include "trainer_host/fleet/monitor/store.hpp"
#include "trainer_host/fleet/registry/sqlite.hpp"

namespace outcrop::fleet::monitor {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_open = 6;

class FileRow final : public Tables::Row {
 public:
  explicit FileRow(const Database::Row& row) : row_(&row) {}
  [[nodiscard]] std::string text(int column) const override { return row_->text(column); }
  [[nodiscard]] std::int64_t integer(int column) const override { return row_->integer(column); }
  [[nodiscard]] double number(int column) const override { return row_->number(column); }
  [[nodiscard]] bool is_null(int column) const override { return row_->is_null(column); }

 private:
  const Database::Row* row_;
};

class FileTables final : public Tables {
 public:
  explicit FileTables(Database database) : database_(std::move(database)) {}
  Status query(const std::string& sql, std::initializer_list<Value> values, const EachRow& each) override {
    return database_.query(sql, values, [&](const Database::Row& row) { return each(FileRow(row)); });
  }
  Result<std::int64_t> run(const std::string& sql, std::initializer_list<Value> values) override {
    return database_.run(sql, values);
  }
  [[nodiscard]] Status script(const std::string& sql) { return database_.script(sql); }

 private:
  Database database_;
};

std::array<fs::path, 3> parts_of(const fs::path& folder, const FileSpan& span) {
  const std::string name = file_name(span);
  return {folder / name, folder / (name + "-wal"), folder / (name + "-shm")};
}

class FileStore final : public Store {
 public:
  explicit FileStore(fs::path folder) : folder_(std::move(folder)) {}

  Result<std::vector<FileSpan>> list() override { return list_files(folder_); }

  Result<std::unique_ptr<Tables>> read(const FileSpan& span) override {
    OUTCROP_TRY(database, read_history_file(folder_, span));
    if (!database) return std::unique_ptr<Tables>();
    return std::unique_ptr<Tables>(std::make_unique<FileTables>(std::move(*database)));
  }

  Result<ByteCount> size() override {
    std::uint64_t bytes = 0;
    for (const FileSpan& span : list_files(folder_)) {
      for (const fs::path& part : parts_of(folder_, span)) {
        struct stat info {};
        if (::stat(part.c_str(), &info) == 0) bytes += static_cast<std::uint64_t>(info.st_blocks) * 512;
      }
    }
    return ByteCount(bytes);
  }

  Result<Tables*> open(const FileSpan& span) override {
    OUTCROP_TRY(tables, open_file(span));
    return static_cast<Tables*>(tables);
  }

  Status in_transaction(const FileSpan& span, const std::function<Status(Tables&)>& work) override {
    const Status done = [&]() -> Status {
      OUTCROP_TRY(tables, open_file(span));
      OUTCROP_CHECK(tables->script("BEGIN IMMEDIATE"));
      Status status = work(*tables);
      if (status) status = tables->script("COMMIT");
      if (!status) (void)tables->script("ROLLBACK");
      return status;
    }();
    if (!done && done.error().code() == ErrorCode::invalid_data && is_damaged(span)) set_aside(span);
    return done;
  }

  Status remove(const FileSpan& span) override {
    open_.erase(span);
    std::error_code error;
    for (const fs::path& part : parts_of(folder_, span)) fs::remove(part, error);
    return {};
  }

  void release_some() override {
    while (open_.size() > most_open) open_.erase(open_.begin());  // of the oldest of the first kind
  }

 private:
  Result<FileTables*> open_file(const FileSpan& span) {
    if (const auto found = open_.find(span); found != open_.end()) return &found->second;
    OUTCROP_TRY(opened, open_history_file(folder_, span));
    return &open_.emplace(span, FileTables(std::move(opened))).first->second;
  }

  // Asked of the file itself: work that failed may have read something else, or a value that nobody could write.
  [[nodiscard]] bool is_damaged(const FileSpan& span) {
    open_.erase(span);
    const auto damage = [](const Error& error) { return error.code() == ErrorCode::invalid_data; };
    auto opened = open_history_file(folder_, span);
    if (!opened) return damage(opened.error());
    bool whole = false;
    const Status read = opened->query("PRAGMA quick_check(1)", {}, [&](const Database::Row& row) {
      whole = row.text(0) == "ok";
      return Status();
    });
    return read ? !whole : damage(read.error());
  }

  // A damaged file is not written to again; a person may look at what is in it, the newest such of each span.
  void set_aside(const FileSpan& span) {
    open_.erase(span);
    const auto parts = parts_of(folder_, span);
    const fs::path aside = folder_ / (file_name(span) + ".damaged");
    std::error_code error;
    fs::remove(aside.string() + "-wal", error);
    fs::rename(parts[1], aside.string() + "-wal", error);
    fs::rename(parts[0], aside, error);
    fs::remove(parts[2], error);
    spdlog::error("history: {} is damaged and was set aside as {}", parts[0].string(), aside.string());
  }

  fs::path folder_;
  std::map<FileSpan, FileTables> open_;  // of the thread that writes
};

}  // namespace

std::unique_ptr<Store> open_file_store(const fs::path& folder) {
  return std::make_unique<FileStore>(folder);
}

}  // namespace outcrop::fleet::monitor
