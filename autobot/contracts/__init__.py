"""What rooms ask of one another: for each contract a Protocol, its values, and a fake.

Both sides import it: who serves one with `autobot.serving.calls.serves`, who asks with `client`.
"""
