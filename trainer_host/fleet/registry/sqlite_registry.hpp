#pragma once

#include <filesystem>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/registry/rows.hpp"
#include "trainer_host/fleet/registry/sqlite.hpp"

namespace outcrop::fleet {

// The registry in a file of SQLite, for the .cpp files beside it: sqlite_boards.cpp, boards and what they say; sqlite_rollouts.cpp,
// releases, rollouts and who has which part in them; sqlite_records.cpp, what is kept beside these; sqlite_registry.cpp, transactions.
class SqliteRegistry final : public Registry {
 public:
  // Devices are kept in memory by whoever writes them; a reader would not hear that they changed.
  SqliteRegistry(Database database, bool writes) : database_(std::move(database)), keeps_devices_(writes) {}

  Status at_one_moment(const std::function<Status()>& work) override;
  Status transaction(const std::function<Status()>& work) override;
  void when_committed(std::function<void()> work) override;

  Result<std::uint64_t> next_generation() override;
  Result<std::uint64_t> last_generation() override;
  Status raise_generation(std::uint64_t to) override;

  Status save(const Device& device) override;
  Result<bool> save_word(const Device& device) override;
  Result<bool> revoke(const std::string& device, Timestamp when, const std::string& reason,
                      const std::string& instead_of) override;
  Result<std::optional<Device>> device(const std::string& name) override;
  Result<std::vector<Device>> devices() override;
  Result<std::vector<Device>> devices_of(const std::string& model) override;
  Result<std::vector<Device>> devices_without_word() override;
  Result<std::vector<BoardLabels>> newcomers(const RolloutRecord& rollout) override;
  Result<bool> save_tags(const std::string& device, const std::set<std::string>& tags) override;
  Result<std::size_t> count_enrolled() override;
  Result<std::set<trust::Sha256Digest>> wanted() override;

  Status save(const ReleaseRecord& release) override;
  Result<std::optional<ReleaseRecord>> release(const trust::Sha256Digest& manifest) override;
  Result<std::vector<ReleaseRecord>> releases() override;

  Status save(const RolloutRecord& rollout) override;
  Result<std::optional<RolloutRecord>> rollout(const std::string& name) override;
  Result<std::vector<RolloutRecord>> rollouts() override;
  Result<std::vector<RolloutRecord>> rollouts_under_way() override;
  Result<bool> remove(const RolloutRecord& rollout) override;

  Status save(const Assignment& a) override;
  Status remove(const Assignment& assignment) override;
  Result<std::optional<Assignment>> assignment(const std::string& rollout,
                                               const std::string& device) override;
  Result<std::vector<Assignment>> assignments(const std::string& rollout) override;
  Result<RolloutBoards> count_boards(const std::string& rollout) override;
  Result<std::optional<Assignment>> desired(const std::string& device) override;

  Result<ReportTaken> add_report(const messages::Report& report, const trust::KeyId& key,
                                 std::string_view envelope, Timestamp received) override;
  Result<std::vector<StoredReport>> reports(const std::string& device,
                                            const std::optional<trust::Sha256Digest>& manifest,
                                            std::size_t limit, std::uint64_t below) override;

  Status ask_picture(const std::string& device, Timestamp asked) override;
  Result<bool> save(const messages::Picture& picture, Timestamp received) override;
  Result<std::optional<KeptPicture>> picture(const std::string& device) override;
  Result<std::vector<KeptPicture>> pictures_of(const trust::Sha256Digest& manifest, std::size_t limit) override;

  Status save_metadata(const std::string& role, const std::string& envelope) override;
  Status remove_metadata(const std::string& role) override;
  Result<std::vector<std::pair<std::string, std::string>>> metadata() override;

  Status save(const DeviceAuthority& authority) override;
  Result<std::vector<DeviceAuthority>> authorities() override;
  Status remove(const DeviceAuthority& authority) override;

  Status save(const Group& group) override;
  Result<bool> remove_group(const std::string& name) override;
  Result<std::vector<Group>> groups() override;

  Status save(const GivenAnswer& answer) override;
  Result<std::optional<GivenAnswer>> answer(const std::string& caller, const std::string& key, Timestamp now) override;

  Status save_note(const std::string& name, const std::string& value) override;
  Status remove_note(const std::string& name) override;
  Result<std::optional<std::string>> note(const std::string& name) override;

  Status append(const monitor::AuditEntry& entry) override;
  Result<std::vector<monitor::AuditEntry>> audit_below(std::uint64_t number, std::size_t limit,
                                                       const std::string& subject,
                                                       const std::string& action) override;
  Result<std::vector<monitor::AuditEntry>> audit_after(std::uint64_t number,
                                                       std::size_t limit) override;

  Status back_up(const std::filesystem::path& file) override { return database_.back_up(file); }

 private:
  Status make_room_for_long(const std::string& device);
  // Removes the board's reports about that release, or about none here, beyond those to be kept.
  Status make_room(const std::string& device, const trust::Sha256Digest& manifest, bool known);

  void unkeep(const std::string& device, Written what);
  void wrote(const std::string& device, Written what);
  Status write_of(const std::string& device, Written what, const std::string& sql,
                  std::initializer_list<Database::Value> values);
  Result<bool> changes_of(const std::string& device, const std::string& sql, std::initializer_list<Database::Value> values);
  // What a board says is a document that takes longer to read than all else here, and is read for each of its messages.
  std::function<Result<Device>(const Database::Row&)> as_kept();
  Result<bool> changes(const std::string& sql, std::initializer_list<Database::Value> values);
  Status write(const std::string& sql, std::initializer_list<Database::Value> values);

  template <class T, class Read>
  Result<std::vector<T>> all(const std::string& sql, std::initializer_list<Database::Value> values, Read read) {
    std::vector<T> found;
    OUTCROP_CHECK(database_.query(sql, values, [&](const Database::Row& row) -> Status {
      OUTCROP_TRY(record, read(row));
      found.push_back(std::move(record));
      return {};
    }));
    return found;
  }

  template <class T, class Read>
  Result<std::optional<T>> one(const std::string& sql, std::initializer_list<Database::Value> values, Read read) {
    OUTCROP_TRY(found, all<T>(sql, values, read));
    if (found.empty()) return std::optional<T>();
    return std::optional<T>(std::move(found.front()));
  }

  Database database_;
  bool keeps_devices_;
  int depth_ = 0;  // of transactions in each other
  std::map<std::string, Written> written_;  // by the transaction that is open
  std::unordered_map<std::string, Device> devices_;  // as they are in the database
  std::vector<std::function<void()>> when_committed_;
};

[[nodiscard]] inline std::string select(const char* columns, const std::string& rest) {
  return "SELECT " + std::string(columns) + " FROM " + rest;
}

}  // namespace outcrop::fleet
