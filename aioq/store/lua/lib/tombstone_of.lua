-- tombstone_of: the key of what is left of a job whose record goes while its enqueue may be sent again; see tombstone.
local function tombstone_of(id, nonce)
  return gone .. id .. '/' .. (nonce or '')
end
