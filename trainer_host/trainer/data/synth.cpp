#include "trainer_host/trainer/data/synth.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/version.hpp"
#include "trainer_host/trainer/data/acoustic_solver.hpp"
#include "trainer_host/trainer/data/dataset.hpp"
#include "trainer_host/trainer/data/labels.hpp"
#include "trainer_host/trainer/data/staged_dataset.hpp"

namespace outcrop::data {
namespace {

// Writes the map of a sample and returns how many of its cells were clamped.
using MapSource = std::function<std::size_t(std::uint64_t sample, std::span<float> velocity)>;

// The shots of all samples, taken one by one by as many threads as there are.
class ShotQueue {
 public:
  ShotQueue(const MapSource& maps, const StagedDataset& staged, const SynthOptions& options)
      : maps_(maps),
        staged_(staged),
        geometry_(options.geometry),
        shots_(options.count * options.geometry.shots) {}

  // The work of one thread: until the queue is empty, something fails or abandon() is called.
  void work() {
    AcousticSolver solver(geometry_);
    std::vector<float> velocity(geometry_.map_size());
    std::vector<float> gather(geometry_.shot_size());
    std::uint64_t prepared = UINT64_MAX;
    while (!abandoned_) {
      const std::uint64_t job = next_++;
      if (job >= shots_) break;
      const std::uint64_t sample = job / geometry_.shots;
      const std::size_t shot = job % geometry_.shots;
      const auto fire = [&]() -> Status {
        if (sample != prepared) {
          const std::size_t clamped = maps_(sample, velocity);
          if (shot == 0) clamped_ += clamped;
          OUTCROP_CHECK(solver.set_velocity(velocity));
          prepared = sample;
        }
        if (shot == 0) OUTCROP_CHECK(staged_.write_velocity(sample, velocity));
        solver.shoot(shot, gather);
        return staged_.write_gather(sample, shot, gather);
      };
      report(fire());
    }
  }

  // Waits until something happened or a fifth of a second is over; returns the shots done.
  std::uint64_t wait() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(200));
    return done_;
  }
  void abandon() { abandoned_ = true; }
  [[nodiscard]] bool finished() const { return abandoned_ || done_ == shots_; }

  // After the threads have been joined.
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] std::uint64_t clamped() const { return clamped_; }

 private:
  void report(Status status) {
    const std::lock_guard lock(mutex_);
    if (status) {
      ++done_;
    } else {
      if (!error_) error_ = std::move(status).error();
      abandoned_ = true;
    }
    changed_.notify_one();
  }

  const MapSource& maps_;
  const StagedDataset& staged_;
  const Geometry& geometry_;
  const std::uint64_t shots_;
  std::atomic<std::uint64_t> next_{0};
  std::atomic<std::uint64_t> done_{0};
  std::atomic<std::uint64_t> clamped_{0};
  std::atomic<bool> abandoned_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Error> error_;  // guarded by mutex_ while threads run
};

Result<std::uint64_t> fire_all(const MapSource& maps, const StagedDataset& staged,
                               const SynthOptions& options, const SynthHooks& hooks) {
  ShotQueue queue(maps, staged, options);
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < options.threads; ++i) threads.emplace_back([&] { queue.work(); });
    bool stop = false;
    while (!stop && !queue.finished()) {
      hooks.progress(queue.wait());
      stop = hooks.stop_requested();
    }
    if (stop) queue.abandon();
    threads.clear();
    if (stop && !queue.error()) {
      return fail(ErrorCode::interrupted,
                  "stopped before the data set was complete; nothing is "
                  "left of it");
    }
  }
  if (queue.error()) return fail(*queue.error());
  return queue.clamped();
}

nlohmann::ordered_json solver_json(const Geometry& geometry) {
  return {{"equation", "acoustic, constant density, order 2 in time and 4 in space"},
          {"grid_spacing_m", geometry.spacing},
          {"time_step_s", geometry.time_step},
          {"largest_courant_number", experiment::largest_courant_number},
          {"recorded_steps", geometry.times},
          {"absorbing_cells", experiment::sponge},
          {"wavelet", "ricker"},
          {"peak_frequency_hz", geometry.peak_frequency},
          {"wavelet_samples", 2 * wavelet_peak(geometry.peak_frequency) + 1},
          {"source_columns", geometry.source_columns},
          {"acquisition_row", experiment::row}};
}

nlohmann::ordered_json source_json(const SynthOptions& options,
                                   const std::optional<CropSource>& crops,
                                   const std::optional<double>& clamped_share) {
  if (!crops) return {{"family", to_string(options.family)}};
  return {{"model", crops->path().filename().string()},
          {"model_sha256", crops->digest()},
          {"spacing_m", options.crop.spacing},
          {"flipped", options.crop.flip_z},
          {"clamped_share", *clamped_share}};
}

// Fewer cells a wavelength than OpenFWI's own experiment has, and waves of different lengths drift apart
// on their way; steps too long, and there is nothing between them to hear of the wavelet.
Status check_waves(const Geometry& geometry) {
  constexpr double highest = 2.5;   // times the peak frequency: what a Ricker wavelet holds
  constexpr double least_cells = 3.99;
  const double shortest = static_cast<double>(geometry.slowest) / (highest * geometry.peak_frequency);
  const auto figure = [](double value) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.3g", value);
    return std::string(text.data());
  };
  if (shortest < least_cells * geometry.spacing) {
    return fail(ErrorCode::invalid_argument,
                "waves as short as " + figure(shortest) + " m on cells of " +
                    figure(geometry.spacing) + " m; needed are four cells a wave: cells of at most " +
                    figure(shortest / 4) + " m, or a lower frequency");
  }
  if (geometry.time_step * 2.0 * highest * geometry.peak_frequency > 1.0) {
    return fail(ErrorCode::invalid_argument,
                "a time step of " + figure(1e3 * geometry.time_step) + " ms; needed are two steps in "
                "the shortest period: at most " +
                    figure(1e3 / (2.0 * highest * geometry.peak_frequency)) + " ms");
  }
  return {};
}

Status check(const SynthOptions& options) {
  OUTCROP_CHECK(data::check(options.geometry));
  OUTCROP_CHECK(check_waves(options.geometry));
  if (!options.from && options.geometry.depth < least_depth) {
    return fail(ErrorCode::invalid_argument,
                "maps " + std::to_string(options.geometry.depth) + " cells deep; layers need " +
                    std::to_string(least_depth));
  }
  if (options.labels && options.from) {
    return fail(ErrorCode::invalid_argument,
                "labels are known of maps that a family makes, not of crops of a model");
  }
  if (options.count < 1 || options.count > 10'000'000) {
    return fail(ErrorCode::invalid_argument, "a count of " + std::to_string(options.count) +
                                                 " samples; needed are 1 to 10000000");
  }
  if (options.threads < 1 || options.threads > 1024) {
    return fail(ErrorCode::invalid_argument,
                std::to_string(options.threads) + " threads; needed are 1 to 1024");
  }
  return {};
}

// Beside the files of maps in `folder`, whose samples stand in the order of their numbers.
Status label_all(const std::filesystem::path& folder, const SynthOptions& options) {
  OUTCROP_TRY(pairs, find_pairs(folder));
  std::uint64_t sample = 0;
  for (const FilePair& pair : pairs) {
    const auto here = std::min<std::uint64_t>(options.samples_per_file, options.count - sample);
    const std::size_t one = options.geometry.map_size();
    std::vector<std::int64_t> labels(here * one);
    for (std::uint64_t i = 0; i < here; ++i, ++sample) {
      make_labels(options.family, options.seed, sample,
                  std::span(labels).subspan(i * one, one), options.geometry);
    }
    OUTCROP_CHECK(write_labels(label_file(pair.velocity), labels, options.geometry));
  }
  return {};
}

}  // namespace

Result<SynthReport> synthesize(const SynthOptions& options, const SynthHooks& hooks) {
  const auto start = std::chrono::steady_clock::now();
  OUTCROP_CHECK(check(options));
  std::optional<CropSource> crops;
  MapSource maps = [&](std::uint64_t sample, std::span<float> velocity) -> std::size_t {
    make_velocity_map(options.family, options.seed, sample, velocity, options.geometry);
    return 0;
  };
  if (options.from) {
    OUTCROP_TRY(source, CropSource::open(*options.from, options.crop, options.geometry));
    crops = std::move(source);
    maps = [&](std::uint64_t sample, std::span<float> velocity) {
      return crops->crop(options.seed, sample, velocity);
    };
  }
  const bool fault_names = !crops && options.family == Family::curvefault_a;
  OUTCROP_TRY(staged, StagedDataset::create(options.out, options.count, options.samples_per_file,
                                            fault_names ? Naming::vel_seis : Naming::model_data,
                                            options.geometry));
  OUTCROP_TRY(clamped, fire_all(maps, staged, options, hooks));
  SynthReport report;
  report.folder = options.out;
  report.samples = options.count;
  if (crops) {
    report.clamped_share =
        static_cast<double>(clamped) / static_cast<double>(options.count * options.geometry.map_size());
  }
  OUTCROP_CHECK(staged.complete());
  if (options.labels) OUTCROP_CHECK(label_all(staged.folder(), options));
  // Before it is read back: it says what the files hold.
  const auto manifest_of = [&](const std::string& digest) {
    nlohmann::ordered_json manifest{
        {"format", "outcrop-dataset"},
        {"format_version", 1},
        {"source", source_json(options, crops, report.clamped_share)},
        {"seed", options.seed},
        {"samples", options.count},
        {"samples_per_file", options.samples_per_file},
        {"geometry", geometry_json(options.geometry)},
        {"solver", solver_json(options.geometry)},
        {"code_version", version()},
        {"digest", digest}};
    if (options.labels) {
      for (std::size_t i = 0; i < cell::classes; ++i) {
        manifest["classes"].push_back(cell::name(static_cast<std::int64_t>(i)));
      }
    }
    return manifest;
  };
  const auto write_manifest = [&](const std::string& digest) {
    return write_file_durably(staged.folder() / "dataset.json",
                              json_text(manifest_of(digest), 2) + "\n");
  };
  OUTCROP_CHECK(write_manifest(""));
  {
    // Read back as a trainer will: what it would refuse is not published.
    OUTCROP_TRY(set, Dataset::open(staged.folder()));
    report.digest = set.digest();
  }
  OUTCROP_CHECK(write_manifest(report.digest));
  OUTCROP_CHECK(staged.publish());
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace outcrop::data
