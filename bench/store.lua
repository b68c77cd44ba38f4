-- Requests to a key-value store, for bench/kv.py; ends with the line of load.lua.
--
--     wrk ... --script bench/store.lua URL -- METHOD PATH BODY ETAG
--
-- In PATH and BODY, @KEY@ stands for one of 64 keys in turn (4 digits), and @STAMP@ for 16 digits that never
-- come again. ETAG, unless empty, goes as If-None-Match.

dofile(debug.getinfo(1, "S").source:match("@(.*)store.lua$") .. "load.lua")

local method, path, body, headers, run
local turn = 0

function init(arguments)
  method, path, body = arguments[1], arguments[2], arguments[3]
  headers = arguments[4] ~= "" and {["If-None-Match"] = arguments[4]} or {}
  run = os.time() % 1000000
end

function request()
  turn = turn + 1
  local marks = {KEY = ("%04d"):format(turn % 64), STAMP = ("%06d%010d"):format(run, turn)}
  return wrk.format(method, (path:gsub("@(%u+)@", marks)), headers, (body:gsub("@(%u+)@", marks)))
end
