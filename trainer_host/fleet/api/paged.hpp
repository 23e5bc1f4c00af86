#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "platform/http/server.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/number.hpp"

namespace outcrop::fleet {

// What a request wants of a list that begins with the newest.
template <class T>
struct ListPage {
  std::vector<T> rows;
  std::string after;  // where the next page goes on; "" on the last
};

inline constexpr std::size_t usually_listed = 100, most_listed = 1000;

// The part of `all` that `limit` (100 where it is not said) and `after` of the request ask for. What is new
// comes before every cursor, so that no page has a row twice. invalid_argument for a limit or a cursor that is none.
template <class T, class Name>
[[nodiscard]] Result<ListPage<T>> page_of(std::vector<T> all, const http::Request& request, Name name_of) {
  ListPage<T> page;
  auto begin = all.begin();
  if (const auto after = request.query.find("after"); after != request.query.end()) {
    begin = std::find_if(all.begin(), all.end(), [&](const T& one) { return name_of(one) == after->second; });
    if (begin == all.end()) {
      return fail(ErrorCode::invalid_argument, "'after' is no cursor of this list: begin again without it");
    }
    ++begin;
  }
  std::size_t limit = usually_listed;
  if (const auto text = request.query.find("limit"); text != request.query.end()) {
    limit = read_number<std::size_t>(text->second).value_or(0);
    if (limit < 1 || limit > most_listed) {
      return fail(ErrorCode::invalid_argument, "limit must be 1 to " + std::to_string(most_listed));
    }
  }
  const auto left = static_cast<std::size_t>(all.end() - begin);
  const auto end = begin + static_cast<std::ptrdiff_t>(std::min(limit, left));
  if (limit < left) page.after = name_of(*(end - 1));
  page.rows.assign(std::make_move_iterator(begin), std::make_move_iterator(end));
  return page;
}

}  // namespace outcrop::fleet
