#include "trainer_host/fleet/monitor/file_history.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include <spdlog/spdlog.h>

#include "trainer_host/fleet/monitor/history_query.hpp"
#include "trainer_host/fleet/monitor/history_writer.hpp"

namespace outcrop::fleet::monitor {
namespace {

namespace fs = std::filesystem;
using Steady = std::chrono::steady_clock;

constexpr std::size_t most_waiting = 20'000;
constexpr std::size_t most_at_once = 2000;
constexpr std::chrono::seconds try_again{5};

Timestamp system_now() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

BoardSample sample_of(const HistoryEntry& entry) {
  const messages::Telemetry& told = *entry.telemetry;
  BoardSample sample;
  sample.device = entry.device;
  sample.device_class = told.device_class;
  sample.received = entry.received;
  sample.time = told.header.time;
  sample.interval = told.interval;
  sample.release = told.active_manifest;
  sample.variant = told.active_variant;
  sample.calls = told.served.calls;
  sample.errors = told.served.errors;
  sample.served_ms = told.served.latency_ms;
  sample.temperature = told.temperature;
  sample.frequency = told.frequency;
  if (told.throttled) {
    sample.throttled_now = told.throttled->now;
    sample.throttled_since = told.throttled->since_start;
  }
  if (told.free_memory) sample.free_memory = told.free_memory->value();
  if (told.free_disk) sample.free_disk = told.free_disk->value();
  if (told.uptime) sample.uptime = static_cast<std::uint64_t>(told.uptime->count());
  if (told.disk_written) sample.disk_written = told.disk_written->value();
  sample.disk_worn = told.disk_worn;
  sample.runner_restarts = told.runner_restarts;
  return sample;
}

class ThreadedHistory final : public FileHistory {
 public:
  ThreadedHistory(const HistoryOptions& options, std::unique_ptr<Store> store, Kept kept)
      : options_(options), kept_(std::move(kept)), store_(std::move(store)), writer_(*store_, options.most) {
    if (!options_.now) options_.now = system_now;
    disk_use_.most = options_.most;
    set_problem(read_back());
    if (read_back_) disk_use_ = writer_.disk_use().value_or(disk_use_);
    thread_ = std::thread([this] { run(); });
  }

  ~ThreadedHistory() override {
    {
      const std::scoped_lock lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

  bool add(HistoryEntry entry) override {
    {
      const std::scoped_lock lock(mutex_);
      if (full_ || queue_.size() >= most_waiting) return false;
      queue_.push_back(std::move(entry));
    }
    wake_.notify_one();
    return true;
  }

  void count_refused(const std::string& reason) override {
    const std::scoped_lock lock(mutex_);
    ++health_.refused[reason];
  }

  void count_lost() override {
    const std::scoped_lock lock(mutex_);
    ++health_.lost;
  }

  void tend_now() override {
    std::unique_lock lock(mutex_);
    const std::uint64_t wanted = ++tend_wanted_;
    wake_.notify_one();
    tended_.wait(lock, [&] { return tend_done_ >= wanted; });
  }

  Result<Series> series(const Selection& selection) override {
    return read_series(*store_, selection, options_.now());
  }
  Result<std::vector<Cell>> cells(const Selection& selection) override {
    return read_cells(*store_, selection, options_.now());
  }
  Result<std::vector<Outlier>> outliers(Timestamp from, Timestamp to, std::size_t limit) override {
    return read_outliers(*store_, from, to, limit);
  }

  void each_latest(const std::function<void(const BoardSample&)>& each) const override {
    const std::scoped_lock lock(mutex_);
    const Timestamp since = options_.now() - raw_kept;
    for (const auto& [device, sample] : latest_) {
      if (sample.received >= since) each(sample);
    }
  }
  std::optional<BoardSample> latest(const std::string& device) const override {
    const std::scoped_lock lock(mutex_);
    const auto found = latest_.find(device);
    return found == latest_.end() ? std::nullopt : std::optional(found->second);
  }

  std::vector<double> served_lately(const std::string& device) const override {
    const std::scoped_lock lock(mutex_);
    const auto found = lately_.find(device);
    return found == lately_.end() ? std::vector<double>() : found->second;
  }

  DiskUse disk_use() const override {
    const std::scoped_lock lock(mutex_);
    return disk_use_;
  }
  HistoryHealth health() const override {
    const std::scoped_lock lock(mutex_);
    HistoryHealth health = health_;
    health.waiting = queue_.size();
    return health;
  }

 private:
  void run() {
    Steady::time_point next_tend = Steady::now() + options_.tend;
    std::unique_lock lock(mutex_);
    while (true) {
      const bool asked = tend_wanted_ > tend_done_;
      if (!asked && (queue_.empty() || retry_at_ > Steady::now())) {
        if (stop_) return;
        wake_.wait_until(lock, retry_at_ > Steady::now() ? std::min(retry_at_, next_tend) : next_tend);
      }
      if (!stop_ && !asked && !queue_.empty()) wake_.wait_for(lock, options_.gather, [this] { return stop_ || tend_wanted_ > tend_done_; });
      if (!queue_.empty() && (retry_at_ <= Steady::now() || stop_ || tend_wanted_ > tend_done_)) write(lock);
      if (stop_ && (queue_.empty() || !health_.problem.empty())) return;
      const std::uint64_t wanted = tend_wanted_;
      if (wanted > tend_done_ || Steady::now() >= next_tend) {
        if (wanted > tend_done_ && !queue_.empty() && health_.problem.empty()) continue;
        tend(lock);
        next_tend = Steady::now() + (health_.problem.empty() ? options_.tend : std::min<std::chrono::milliseconds>(options_.tend, try_again));
        tend_done_ = wanted;
        tended_.notify_all();
      }
    }
  }

  // What boards said last before the program's start; why it cannot be had, in words, until it is.
  std::string read_back() {
    if (read_back_) return "";
    auto latest = read_latest(*store_, options_.now() - raw_kept);
    if (!latest) return latest.error().message();
    read_back_ = true;
    const std::scoped_lock lock(mutex_);
    latest_.merge(*latest);  // what was said since counts
    return "";
  }

  void write(std::unique_lock<std::mutex>& lock) {
    std::vector<HistoryEntry> entries;
    while (!queue_.empty() && entries.size() < most_at_once) {
      entries.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    lock.unlock();
    const auto begun = Steady::now();
    std::string problem;
    const std::vector<HistoryEntry> done = writer_.write(entries, problem);
    const auto took = Steady::now() - begun;
    if (!done.empty() && kept_) kept_(done);
    lock.lock();
    for (const HistoryEntry& entry : done) {
      if (!entry.telemetry) continue;
      BoardSample sample = sample_of(entry);
      BoardSample& held = latest_[entry.device];
      if (held.device.empty() || held.time <= sample.time || held.received + raw_kept < sample.received) {
        note_served(sample);
        held = std::move(sample);
      }
    }
    health_.taken += done.size();
    health_.last_commit = std::chrono::duration_cast<std::chrono::microseconds>(took);
    for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) queue_.push_front(std::move(*entry));
    set_problem(problem);
    retry_at_ = problem.empty() ? Steady::time_point() : Steady::now() + try_again;
  }

  // With mutex_ held.
  void note_served(const BoardSample& sample) {
    const auto p90 = sample.served_ms.quantile(.9);
    if (!p90) return;
    std::vector<double>& lately = lately_[sample.device];
    if (lately.size() == most_lately) lately.erase(lately.begin());
    lately.push_back(*p90);
  }

  void tend(std::unique_lock<std::mutex>& lock) {
    lock.unlock();
    const auto full = writer_.tend(options_.now(), Steady::now());
    const auto disk_use = writer_.disk_use();
    const std::string unread = full ? read_back() : "";
    lock.lock();
    const DiskUse use = disk_use.value_or(disk_use_);
    disk_use_ = use;
    full_ = full && *full;
    if (!full || !unread.empty()) {
      set_problem(full ? unread : full.error().message());
    } else if (full_) {
      set_problem("the history has " + use.used.human() + " on the disk, and may have " + use.most.human() +
                  " ([monitor] history_mb); nothing of today can go");
    } else if (queue_.empty()) {
      set_problem("");
    }
  }

  void set_problem(const std::string& problem) {
    if (problem == health_.problem) return;
    if (problem.empty()) {
      spdlog::info("history: is kept again");
    } else {
      spdlog::error("history: {}", problem);
    }
    health_.problem = problem;
  }

  HistoryOptions options_;
  Kept kept_;
  std::unique_ptr<Store> store_;
  HistoryWriter writer_;  // of the thread
  bool read_back_ = false;
  mutable std::mutex mutex_;
  // Guarded by mutex_:
  std::condition_variable wake_;
  std::condition_variable tended_;
  std::deque<HistoryEntry> queue_;
  std::map<std::string, BoardSample> latest_;
  std::map<std::string, std::vector<double>> lately_;
  HistoryHealth health_;
  DiskUse disk_use_;
  Steady::time_point retry_at_;
  std::uint64_t tend_wanted_ = 0;
  std::uint64_t tend_done_ = 0;
  bool full_ = false;
  bool stop_ = false;

  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<FileHistory>> FileHistory::open(const HistoryOptions& options, Kept kept) {
  if (!options.postgres.empty()) {
    OUTCROP_TRY(store, open_postgres_store(options.postgres));
    return std::make_unique<ThreadedHistory>(options, std::move(store), std::move(kept));
  }
  std::error_code error;
  fs::create_directories(options.folder, error);
  if (error || !fs::is_directory(options.folder)) {
    return fail(ErrorCode::io, "making the folder of the history " + options.folder.string() + ": " +
                                   (error ? error.message() : "it is no folder"));
  }
  return std::make_unique<ThreadedHistory>(options, open_file_store(options.folder), std::move(kept));
}

}  // namespace outcrop::fleet::monitor
