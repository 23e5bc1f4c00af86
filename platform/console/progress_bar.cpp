#include "platform/console/progress_bar.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "platform/console/columns.hpp"
#include "platform/console/terminal.hpp"

namespace outcrop {
namespace {

constexpr std::size_t widest_bar = 24;
constexpr std::size_t narrowest_bar = 4;
constexpr std::size_t usual_width = 100;  // of a terminal that does not say
constexpr std::chrono::milliseconds redraw_interval{100};

// Label and bar, as wide as leaves the percentage on the screen.
std::string start_of_line(const std::string& label, double share, const std::string& percent,
                          std::size_t columns) {
  const std::size_t room = columns > percent.size() + 2 ? columns - percent.size() - 2 : 0;
  std::string line = std::string(first_columns(label, room)) + "  ";
  const std::size_t used = columns_of(label) + 2;
  const std::size_t width = room > used ? std::min(room - used, widest_bar) : 0;
  if (width < narrowest_bar) return line;
  const auto filled = static_cast<std::size_t>(share * static_cast<double>(width));
  for (std::size_t i = 0; i < width; ++i) line += i < filled ? "█" : "░";
  return line + "  ";
}

}  // namespace

std::string human_duration(std::chrono::duration<double> duration) {
  const long seconds = std::lround(duration.count());
  std::array<char, 48> text{};
  if (seconds < 60) {
    std::snprintf(text.data(), text.size(), "%ld s", seconds);
  } else if (seconds < 3600) {
    std::snprintf(text.data(), text.size(), "%ld min %02ld s", seconds / 60, seconds % 60);
  } else {
    std::snprintf(text.data(), text.size(), "%ld h %02ld min", seconds / 3600, seconds / 60 % 60);
  }
  return text.data();
}

ProgressBar::ProgressBar(std::string label, std::uint64_t total, std::string unit, std::FILE* out)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(std::max<std::uint64_t>(total, 1)),
      out_(out),
      terminal_(can_redraw(out)),
      start_(SteadyClock::now()) {
  if (terminal_) draw(false);
}

ProgressBar::~ProgressBar() {
  finish(note_);
}

void ProgressBar::update(std::uint64_t done, const std::string& note) {
  if (finished_) return;
  done_ = std::min(done, total_);
  note_ = note;
  if (terminal_) {
    if (SteadyClock::now() - drawn_ >= redraw_interval) draw(false);
    return;
  }
  const std::uint64_t tenths = done_ * 10 / total_;
  if (tenths > tenths_printed_ && done_ < total_) {
    tenths_printed_ = tenths;
    draw(false);
  }
}

void ProgressBar::finish(const std::string& note) {
  if (finished_) return;
  note_ = note;
  draw(true);
  finished_ = true;
}

void ProgressBar::draw(bool last) {
  drawn_ = SteadyClock::now();
  const std::chrono::duration<double> elapsed = drawn_ - start_;
  const double share = static_cast<double>(done_) / static_cast<double>(total_);
  std::array<char, 16> percent{};
  std::snprintf(percent.data(), percent.size(), "%3.0f%%", share * 100.0);
  const std::size_t width = line_width(::fileno(out_));
  const std::size_t columns = (width == 0 ? usual_width : width) - 1;
  std::string line =
      terminal_ ? start_of_line(label_, share, percent.data(), columns) : label_ + "  ";
  line += std::string(percent.data()) + "  " + std::to_string(done_) + "/" +
          std::to_string(total_) + " " + unit_;
  if (last) {
    line += "  in " + human_duration(elapsed);
  } else if (done_ > 0) {
    line += "  " + human_duration(elapsed / share * (1.0 - share)) + " left";
  }
  if (!note_.empty()) line += "  " + note_;
  if (terminal_) {
    line = first_columns(line, columns);
    std::fprintf(out_, "\r\033[K%s%s", line.c_str(), last ? "\n" : "");
  } else {
    std::fprintf(out_, "%s\n", line.c_str());
  }
  std::fflush(out_);
}

}  // namespace outcrop
