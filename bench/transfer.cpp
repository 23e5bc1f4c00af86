// outcrop-bench-transfer: how fast a board pulls a blob, beside mosquitto's own clients.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <random>
#include <sstream>
#include <thread>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "bench/transfer_broker.hpp"
#include "platform/console/table.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/median.hpp"
#include "tests/support/child_process.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/transfer_roles.hpp"
#include "trainer_host/fleet/depot/blob_store.hpp"

namespace outcrop::bench {
namespace {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;
using nlohmann::ordered_json;

constexpr double aim = 1.2;                              // times mosquitto_pub | mosquitto_sub
constexpr const char* topic = "outcrop/v1/d/board/cmd";  // one that the access rules let through
constexpr auto patience = std::chrono::seconds(30);

double seconds_since(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

std::string number(double value, const char* format) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

// What is transferred, and where it goes.
struct Load {
  fs::path folder;
  fs::path file;
  blob::ChunkTable table;
  [[nodiscard]] std::uint64_t size() const { return table.size.value(); }
};

Result<Load> make_load(const fs::path& folder) {
  Bytes bytes(ByteCount::mib(64).value());
  std::mt19937_64 random(1);
  for (std::size_t i = 0; i < bytes.size(); i += 8) {
    const std::uint64_t word = random();
    std::memcpy(bytes.data() + i, &word, 8);
  }
  Load load{folder, folder / "file", blob::make_chunk_table(bytes)};
  OUTCROP_CHECK(write_file_durably(load.file, bytes));
  OUTCROP_TRY(store, fleet::BlobStore::open(folder / "blobs"));
  const auto uploaded = store.upload(load.table.blob, load.table.size, {}, bytes);
  if (!uploaded) return fail(uploaded.error());
  return load;
}

struct PullTimes {
  double received;  // until the last chunk was written
  double staged;    // until it was on the disk
};

// A fresh board, connected and subscribed before the clock starts.
Result<PullTimes> pull(const TransferBroker& broker, const Load& load) {
  const fs::path partial = load.folder / "partial";
  fs::remove(partial);
  ChildProcess board([&](int talk) {
    const PullFigures figures =
        pull_blob({broker.session("board"), "board", load.table, partial, ByteCount::mib(80), {}});
    std::ostringstream line;
    line << figures.received.count() << ' ' << figures.staged.count() << ' ' << figures.error;
    say_line(talk, line.str());
    return 0;
  });
  std::istringstream line(board.hear().value_or("0 0 the board ended"));
  PullTimes times{};
  std::string error;
  line >> times.received >> times.staged;
  std::getline(line >> std::ws, error);
  if (!error.empty()) return fail(ErrorCode::internal, "pulling: " + error);
  return times;
}

ChildProcess run_program(std::vector<std::string> words, const fs::path& output) {
  return ChildProcess([words = std::move(words), output](int) mutable {
    const int file = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ::dup2(file, STDOUT_FILENO);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::execvp(arguments[0], arguments.data());
    std::fprintf(stderr, "%s: install Debian's package mosquitto-clients\n", arguments[0]);
    return 127;
  });
}

std::vector<std::string> client(const std::string& program, const TransferBroker& broker,
                                const std::string& who, std::vector<std::string> more) {
  std::vector<std::string> words{program};
  const auto connect = broker.client_options(who);
  words.insert(words.end(), connect.begin(), connect.end());
  words.insert(words.end(), {"-t", topic, "-q", "1"});
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

// From the start of mosquitto_pub to the end of mosquitto_sub, which has subscribed before: the
// retained message, one byte, has told so.
Result<double> carry_by_clients(const TransferBroker& broker, const Load& load,
                                const fs::path& file) {
  const fs::path output = load.folder / "output";
  fs::remove(output);
  ChildProcess reader =
      run_program(client("mosquitto_sub", broker, "board", {"-N", "-C", "2"}), output);
  const auto end = SteadyClock::now() + patience;
  std::error_code missing;
  while (fs::file_size(output, missing) != 1) {
    if (SteadyClock::now() > end) return fail(ErrorCode::timeout, "mosquitto_sub hears nothing");
    std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
  const auto start = SteadyClock::now();
  ChildProcess writer =
      run_program(client("mosquitto_pub", broker, "publisher", {"-f", file}), "/dev/null");
  if (writer.wait() != 0 || reader.wait() != 0) {
    return fail(ErrorCode::internal, "mosquitto's clients failed");
  }
  const double seconds = seconds_since(start);
  if (fs::file_size(output) != fs::file_size(file) + 1) {
    return fail(ErrorCode::internal, "mosquitto_sub did not write what mosquitto_pub sent");
  }
  return seconds;
}

// What of it is mosquitto_pub's start and connection is not held against it: our host and board
// are connected when the clock starts.
Result<double> clients_alone(const TransferBroker& broker, const Load& load) {
  const fs::path byte = load.folder / "byte";
  OUTCROP_CHECK(write_file_durably(byte, "x"));
  OUTCROP_TRY(empty, carry_by_clients(broker, load, byte));
  OUTCROP_TRY(full, carry_by_clients(broker, load, load.file));
  return full - empty;
}

// The bound for everything that copies a file over loopback in 64 KiB pieces into another file.
Result<double> copy_by_tcp(const Load& load) {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener.get(), generic, length) != 0 || ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), generic, &length) != 0) {
    return fail(Error::from_errno("listening"));
  }
  ChildProcess sender([&](int) {
    const UniqueFd from(::open(load.file.c_str(), O_RDONLY));
    const UniqueFd to(::socket(AF_INET, SOCK_STREAM, 0));
    if (::connect(to.get(), generic, length) != 0) return 1;
    std::vector<char> piece(65536);
    for (ssize_t got = 0; (got = ::read(from.get(), piece.data(), piece.size())) > 0;) {
      for (ssize_t sent = 0; sent < got;) {
        const ssize_t n = ::write(to.get(), piece.data() + sent, static_cast<size_t>(got - sent));
        if (n <= 0) return 1;
        sent += n;
      }
    }
    return 0;
  });
  const UniqueFd from(::accept(listener.get(), nullptr, nullptr));
  const auto start = SteadyClock::now();
  const fs::path output = load.folder / "output";
  fs::remove(output);
  const UniqueFd to(::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644));
  std::vector<char> piece(65536);
  for (ssize_t got = 0; (got = ::read(from.get(), piece.data(), piece.size())) > 0;) {
    if (::write(to.get(), piece.data(), static_cast<size_t>(got)) != got) {
      return fail(Error::from_errno("writing"));
    }
  }
  const double seconds = seconds_since(start);
  if (fs::file_size(output) != load.size()) return fail(ErrorCode::io, "the copy was cut short");
  return seconds;
}

// A broker with a depot that is connected to it.
struct Host {
  TransferBroker broker;
  std::unique_ptr<ChildProcess> depot;
};

Result<Host> start_host(const Load& load, bool tls) {
  OUTCROP_TRY(broker, TransferBroker::start(load.folder / (tls ? "tls" : "plain"), tls));
  const fs::path blobs = load.folder / "blobs";
  auto depot = std::make_unique<ChildProcess>([&](int talk) -> int {
    serve_blobs(broker.session("host"), blobs, [talk] { say_line(talk, "ready"); });
  });
  if (!depot->hear()) return fail(ErrorCode::internal, "the depot ended");
  ChildProcess retain =
      run_program(client("mosquitto_pub", broker, "publisher", {"-r", "-m", "r"}), "/dev/null");
  if (retain.wait() != 0) return fail(ErrorCode::internal, "mosquitto_pub failed");
  return Host{std::move(broker), std::move(depot)};
}

struct Times {
  std::vector<double> received;
  std::vector<double> staged;
  std::vector<double> clients;
};

Status measure_round(const Host& host, const Load& load, Times& times) {
  OUTCROP_TRY(ours, pull(host.broker, load));
  OUTCROP_TRY(theirs, clients_alone(host.broker, load));
  times.received.push_back(ours.received);
  times.staged.push_back(ours.staged);
  times.clients.push_back(theirs);
  return {};
}

class Report {
 public:
  explicit Report(std::uint64_t bytes) : megabytes_(static_cast<double>(bytes) * 1e-6) {}

  void add(const std::string& way, const std::string& connection,
           const std::vector<double>& seconds) {
    const double typical = median(seconds);
    const auto [best, worst] = std::minmax_element(seconds.begin(), seconds.end());
    table_.add_row({way, connection, number(megabytes_ / typical, "%.0f"),
                    number(megabytes_ / *worst, "%.0f"), number(megabytes_ / *best, "%.0f")});
    rows_.push_back({{"way", way},
                     {"connection", connection},
                     {"megabytes_per_second", megabytes_ / typical},
                     {"slowest", megabytes_ / *worst},
                     {"fastest", megabytes_ / *best}});
  }
  void add(const std::string& connection, const Times& times) {
    add("pull", connection, times.received);
    add("pull, synced", connection, times.staged);
    add("mosquitto_pub | _sub", connection, times.clients);
    ratios_[connection] = median(times.clients) / median(times.received);
  }

  [[nodiscard]] ordered_json print() const {
    std::printf("%s", table_.to_string().c_str());
    for (const auto& [connection, ratio] : ratios_.items()) {
      std::printf("pull / mosquitto_pub | mosquitto_sub, %s: %.2f (aim: %.1f)\n",
                  connection.c_str(), ratio.get<double>(), aim);
    }
    return {{"megabytes", megabytes_}, {"rows", rows_}, {"ratios", ratios_}, {"aim", aim}};
  }

 private:
  double megabytes_;
  Table table_{{"64 MiB by", "connection", "MB/s", "slowest", "fastest"}};
  ordered_json rows_ = ordered_json::array();
  ordered_json ratios_ = ordered_json::object();
};

Result<ordered_json> measure(int rounds) {
  const TemporaryFolder folder;
  OUTCROP_TRY(load, make_load(folder.path()));
  OUTCROP_TRY(plain, start_host(load, false));
  OUTCROP_TRY(tls, start_host(load, true));
  Times plain_times;
  Times tls_times;
  std::vector<double> copies;
  for (int round = 0; round < rounds; ++round) {
    OUTCROP_CHECK(measure_round(plain, load, plain_times));
    OUTCROP_CHECK(measure_round(tls, load, tls_times));
    OUTCROP_TRY(copy, copy_by_tcp(load));
    copies.push_back(copy);
  }
  Report report(load.size());
  report.add("plain", plain_times);
  report.add("mutual TLS", tls_times);
  report.add("copy over a socket", "plain", copies);
  ordered_json figures = report.print();
  std::printf("median of %d interleaved; host, broker and board in processes of their own\n",
              rounds);
  figures["rounds"] = rounds;
  return figures;
}

int run(int argc, char** argv) {
  CLI::App app("How fast a board pulls a blob, beside mosquitto's own clients",
               "outcrop-bench-transfer");
  bool quick = false;
  std::string json;
  app.add_flag("--quick", quick, "Fewer repetitions");
  app.add_option("--json", json, "Also write the figures to this file");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const auto figures = measure(quick ? 3 : 15);
  Status status = {};
  if (!figures) {
    status = fail(figures.error());
  } else if (!json.empty()) {
    status = write_file_durably(json, json_text(*figures, 2) + "\n");
  }
  if (status) return 0;
  std::fprintf(stderr, "outcrop-bench-transfer: %s\n", status.error().message().c_str());
  return 1;
}

}  // namespace
}  // namespace outcrop::bench

int main(int argc, char** argv) {
  return outcrop::bench::run(argc, argv);
}
